"""The audit's tables of judgments: preference, control for style, strengths, agreement, raters.

In: AuditFindings. Out: reporting.tables.Table, whose CSV holds the plain numbers. What was not measured says so.
Source: Figures 1 and 3 of arXiv 2305.15717 for the axis "equal or better"; the tables are ours.
"""

from epigone.metrics.expertise import THIRDS
from epigone.reporting.audit.cells import ESTIMATE_COLUMNS, cell, plain
from epigone.reporting.audit.findings import AuditFindings, DirectPreference
from epigone.reporting.audit.wording import p_value
from epigone.reporting.tables import MISSING, Cell, Table, comma_separated
from epigone.reporting.wording import interval, number, plural

MOST_SHOWN = 30
"""Rows of strengths in the report, beside the audit's own models."""


def preference(findings: AuditFindings) -> Table:
    """Wins, ties and losses against the teacher, by panel."""
    rows, lines = [], []
    for d in findings.direct:
        people = "people" if d.people else "simulated" if d.simulated else "a model"
        asked = f"{d.criterion}; " if d.criterion else ""
        paper = f"± {100 * d.sd_of_mean:.1f}"
        rows.append(
            (
                Cell(d.model, f"against {d.against}"),
                Cell(d.panel, f"{asked}{people}, {d.num_ratings} ratings"),
                Cell(
                    f"{d.wins} / {d.ties} / {d.losses}", f"{d.num_splits} split" if d.num_splits else "", numeric=True
                ),
                Cell(f"{number(d.win_or_tie.value)} {paper}", interval(d.win_or_tie), numeric=True),
                Cell(number(d.win_share.value), interval(d.win_share), numeric=True),
                Cell(p_value(d.p_holm if d.p_holm is not None else d.p), numeric=True),
                Cell(d.position, _power(d)),
            )
        )
        lines.append(
            (
                d.panel, d.criterion, d.model, d.against, d.wins, d.ties, d.losses, d.num_splits, d.num_ratings,
                *plain(d.win_or_tie), d.sd_of_mean, *plain(d.win_share)[:3], d.p, d.p_holm, d.position, d.smallest,
                d.num_needed,
            )
        )  # fmt: skip
    header = (
        "panel", "criterion", "model", "against", "wins", "ties", "losses", "num_splits", "num_ratings",
        "win_or_tie", "low", "high", "n", "method", "sd_of_mean", "win_share", "win_share_low", "win_share_high",
        "p", "p_holm", "position", "smallest", "num_needed",
    )  # fmt: skip
    return Table(
        "preference",
        "Preference against the teacher, as judged directly",
        "Majority of each prompt’s ratings. Equal or better is the paper’s axis: wins and ties, with one standard "
        "deviation of the mean and the 95 % interval of a bootstrap over prompts. Share counts a tie as half. p: exact "
        "sign test of wins against losses, Holm-adjusted over all tests of this audit.",
        ("Model", "Panel", "Won / tied / lost", "Equal or better", "Share", "p", "Order and power"),
        tuple(rows),
        comma_separated(header, lines),
    )


def _power(d: DirectPreference) -> str:
    """What so many prompts show of the share, and how many would show 5 points."""
    shows = f"{plural(d.win_share.n, 'prompt')} show {100 * d.smallest:.0f} points" if d.smallest else "too few prompts"
    return f"{shows}, {d.num_needed} would show 5"


def controlled(findings: AuditFindings) -> Table:
    """The share at equal length and at equal style."""
    rows, lines = [], []
    for d in findings.direct:
        cells = [Cell(d.model, f"against {d.against}"), Cell(d.panel, d.criterion), cell(d.win_share)]
        if not d.controlled:
            continue
        for c in d.controlled:
            cells += [cell(c.rate), cell(c.explained)]
            explained = (c.explained.value, c.explained.low, c.explained.high)
            features = " ".join(c.features)
            lines.append((d.panel, d.criterion, d.model, c.name, features, *plain(c.rate), *explained))
        rows.append(tuple(cells))
    header = ("panel", "criterion", "model", "at", "features", *ESTIMATE_COLUMNS, "explained", "explained_low",
              "explained_high")  # fmt: skip
    return Table(
        "controlled",
        "How much of the preference does style explain?",
        "Share (ties half) as it is, and as a logistic regression predicts it for two answers of equal length, or of "
        "equal length, list, summary, bold and headers. Explained: share of the deviance that those features take up.",
        ("Model", "Panel", "Share", "At equal length", "Explained", "At equal style", "Explained"),
        tuple(rows),
        comma_separated(header, lines),
    )


def strengths(findings: AuditFindings) -> Table:
    """Fitted strengths of all models of the main panel."""
    main = [s for s in findings.strengths if (s.panel, s.criterion) == (findings.main_panel, findings.main_criterion)]
    shown = [s for place, s in enumerate(main) if place < MOST_SHOWN or _role(findings, s.model)]
    left = f" {len(main) - len(shown)} further models stand in the CSV." if len(shown) < len(main) else ""
    rows = tuple(
        (
            Cell(s.model, _role(findings, s.model)),
            Cell(str(s.num_comparisons), numeric=True),
            cell(s.strength, "number"),
            cell(s.rate) if s.model != findings.teacher else Cell("the teacher", numeric=True),
            cell(s.controlled_rate) if s.model != findings.teacher else Cell("", numeric=True),
        )
        for s in shown
    )
    lines = [
        (s.panel, s.criterion, s.model, s.num_comparisons, *plain(s.strength), *plain(s.rate)[:3],
         *plain(s.controlled_rate)[:3])
        for s in findings.strengths
    ]  # fmt: skip
    header = (
        "panel", "criterion", "model", "num_judgments", "strength", "low", "high", "n", "method", "rate", "rate_low",
        "rate_high", "controlled_rate", "controlled_low", "controlled_high",
    )  # fmt: skip
    return Table(
        "strengths",
        "Strengths of all models that were compared",
        f"Bradley-Terry with ties over all judgments of {findings.main_panel}, also those on models outside this "
        "audit. "
        "Strength in log-odds around the mean of all. Equal or better: the rate against the teacher that the strengths "
        "imply, whether or not the two ever met; beside it the same between answers of equal style. The CSV holds "
        f"every panel.{left}",
        ("Model", "Judgments", "Strength", "Equal or better, fitted", "At equal style"),
        rows,
        comma_separated(header, lines),
    )


def _role(findings: AuditFindings, name: str) -> str:
    return next((m.role.replace("_", " ") for m in findings.models if m.name == name), "")


def fits(findings: AuditFindings) -> Table:
    """What each fit rests on, and what position and style are worth."""
    rows, lines = [], []
    for f in findings.fits:
        style = ", ".join(f"{name} {number(e.value, 'number')} {interval(e, 'number')}" for name, e in f.style)
        rows.append(
            (
                Cell(f.panel, f.criterion),
                Cell(f"{f.num_models} models", f"{f.num_judgments} judgments on {f.num_prompts} prompts"),
                cell(f.position, "number"),
                Cell(style or MISSING),
            )
        )
        effects = [("shown first", f.position), *f.style]
        lines += [(f.panel, f.criterion, name, *plain(e)) for name, e in effects if e]
    return Table(
        "fits",
        "The fits: what being shown first and style are worth",
        "In log-odds: what is added to the difference of two strengths where the model is shown first, or for one unit "
        "of a feature (yes against no; a log of words). A position effect can be told only where models stood in both "
        "places.",
        ("Panel", "Rests on", "Shown first", "Style"),
        tuple(rows),
        comma_separated(("panel", "criterion", "effect", *ESTIMATE_COLUMNS), lines),
    )


def agreement(findings: AuditFindings) -> Table:
    """Raters among themselves, panels beside one another."""
    rows = tuple((Cell(a.name), Cell(a.what), cell(a.estimate, "number"), Cell(str(a.estimate.n), numeric=True))
                 for a in findings.agreement)  # fmt: skip
    lines = [(a.name, a.what, *plain(a.estimate)) for a in findings.agreement]
    return Table(
        "agreement",
        "How far the raters agree",
        "Alpha: Krippendorff’s, 0 is chance and 1 is perfect. Kappa: Cohen’s, between the majorities of two panels. "
        "Judge minus crowd: the share that the judge gives, less the share that the crowd gives, on the same pairs.",
        ("Who", "What", "Value", "n"),
        rows,
        comma_separated(("who", "what", *ESTIMATE_COLUMNS), lines),
    )


def expertise(findings: AuditFindings) -> Table:
    """Equal or better by the raters' expertise."""
    rows, lines = [], []
    for e in findings.expertise:
        asked = f"{e.criterion}; " if e.criterion else ""
        rated = f"{asked}{plural(e.num_raters, 'rater')}, {e.num_judgments} judgments"
        known = f"{e.num_known} known ones, reliability {number(e.reliability, 'number')}"
        by_third = {name: rate for name, _, _, rate in e.thirds}
        rows.append(
            (
                Cell(e.model, f"against {e.against}"),
                Cell(e.panel, f"{rated}{', simulated' if e.simulated else ''}"),
                Cell(number(e.mean), known, numeric=True),
                *(cell(by_third.get(name)) for name in THIRDS),
                cell(e.slope, "number"),
                Cell(e.word, e.why),
            )
        )
        start = (e.panel, e.criterion, e.model, e.against, e.num_raters, e.num_known, e.mean, e.reliability)
        lines.append((*start, "slope", "", *plain(e.slope), e.word, e.why))
        lines += [(*start, name, at, *plain(rate), "", "") for name, at, _, rate in e.thirds]
    return Table(
        "expertise",
        "Do raters who know better prefer it more or less?",
        "Equal or better among thirds of the votes, in the order of their raters’ expertise: the share of comparisons "
        "with a known answer that they would answer rightly, drawn towards the mean of all where few are known. Slope: "
        "log-odds for ten points more. Comparisons with a known answer are left out of the rates.",
        ("Model", "Panel", "Known ones right", *(name.capitalize() for name in THIRDS), "Slope", "Preference"),
        tuple(rows),
        comma_separated(
            ("panel", "criterion", "model", "against", "num_raters", "num_known", "mean", "reliability", "what",
             "expertise", *ESTIMATE_COLUMNS, "word", "why"),
            lines,
        ),
    )  # fmt: skip


def raters(findings: AuditFindings) -> Table:
    """Raters with a flag, and how many have none."""
    flagged = [r for r in findings.raters if r.flag]
    rows = tuple(
        (
            Cell(r.rater, r.panel),
            Cell(str(r.num_ratings), numeric=True),
            Cell(number(r.agreement) if r.agreement is not None else MISSING,
                 f"chance {number(r.chance)}" if r.chance is not None else "", numeric=True),
            Cell(number(r.tie_share), numeric=True),
            Cell(number(r.first_share) if r.first_share is not None else MISSING, numeric=True),
            Cell(r.flag),
        )
        for r in flagged
    )  # fmt: skip
    lines = [
        (r.panel, r.rater, r.num_ratings, r.agreement, r.chance, r.tie_share, r.first_share, r.median_seconds, r.flag)
        for r in findings.raters
    ]
    header = (
        "panel",
        "rater",
        "num_ratings",
        "agreement",
        "chance",
        "tie_share",
        "first_share",
        "median_seconds",
        "flag",
    )
    return Table(
        "raters",
        "Raters whose verdicts say little",
        f"{len(flagged)} of {len(findings.raters)} raters are flagged; none is left out. Agreement: with the "
        "majority of "
        "the others on the same pair. Ids are hashed. The CSV holds every rater.",
        ("Rater", "Ratings", "Agrees with others", "Ties", "First shown wins", "Flag"),
        rows,
        comma_separated(header, lines),
    )

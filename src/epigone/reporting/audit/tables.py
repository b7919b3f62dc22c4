"""The audit's tables: every number of the findings beside its interval, in the order of the report.

In: AuditFindings. Out: reporting.tables.Table, whose CSV holds the plain numbers. What was not measured says so.
Source: Table 2 of arXiv 2305.15717 for the first; the others are ours.
"""

from collections.abc import Iterable, Sequence

from epigone.metrics.likeness import FIRST_LOOK, OTHER_DEFINITIONS, PARTS, TABLE_2
from epigone.reporting.audit.cells import ESTIMATE_COLUMNS, cell, grid, plain
from epigone.reporting.audit.findings import AuditFindings, Contrast
from epigone.reporting.audit.tables_preference import (
    agreement,
    controlled,
    expertise,
    fits,
    preference,
    raters,
    strengths,
)
from epigone.reporting.audit.wording import LEVELS, p_value, wording
from epigone.reporting.tables import MISSING, Cell, Table, comma_separated
from epigone.reporting.wording import Unit, interval, number


def models(findings: AuditFindings) -> Table:
    """Who is what, and how many of the prompts each one answered."""
    rows, lines = [], []
    for m in findings.models:
        role = findings.ceiling_is if m.role == "second_sample" else m.role
        shown = role if role != "another version" else "another version of the teacher"
        rows.append(
            (
                Cell(m.name, f"recorded as {m.recorded_as}" if m.recorded_as != m.name else ""),
                Cell(shown),
                Cell(f"{m.num_matched} of {findings.num_prompts}", numeric=True),
                Cell(str(m.num_empty), numeric=True),
                Cell(str(m.num_dropped), numeric=True),
            )
        )
        lines.append((m.name, shown, m.recorded_as, m.num_answers, m.num_matched, m.num_empty, m.num_dropped))
    return Table(
        "models",
        "Models and prompts",
        "Prompts are the teacher’s, matched by text, else by id. An empty answer is left out of every style figure. "
        "Dropped rows stand with their reason in the artifact of each recording.",
        ("Model", "Role", "Prompts matched", "Empty answers", "Rows dropped"),
        tuple(rows),
        comma_separated(
            ("model", "role", "recorded_as", "num_answers", "num_matched", "num_empty", "num_dropped"), lines
        ),
    )


def _style_table(findings: AuditFindings, table_id: str, title: str, caption: str, metrics: Sequence[str]) -> Table:
    """Style metrics of base, students, ceiling and floor."""
    names = [m.name for m in findings.models if m.role != "teacher"]
    names.sort(key=lambda name: (name == findings.ceiling, name != findings.base))
    columns = [_headed(findings, name) for name in names]
    columns += ["Random floor"] if findings.ceiling else ["Ceiling", "Random floor"]

    def at(row: int, column: int) -> Cell:
        metric = metrics[row]
        if columns[column] == "Ceiling":
            return Cell(MISSING, numeric=True)
        if columns[column] == "Random floor":
            return (
                Cell("0.50", numeric=True)
                if metric == "told_apart"
                else cell(findings.floors.get(metric), unit(metric))
            )
        return cell(findings.estimate(names[column], "style", metric), unit(metric))

    def unit(metric: str) -> Unit:
        return wording("style", metric).unit

    labels = [Cell(wording("style", metric).label, _n(findings, names, metric)) for metric in metrics]
    header, rows = grid("Style metric", labels, columns, at)
    lines = [
        (name, metric, *plain(found))
        for metric in metrics
        for name, found in (
            *((name, findings.estimate(name, "style", metric)) for name in names),
            ("random floor", findings.floors.get(metric)),
        )
        if found
    ]
    return Table(table_id, title, caption, header, rows, comma_separated(("model", "metric", *ESTIMATE_COLUMNS), lines))


def _n(findings: AuditFindings, names: Sequence[str], metric: str) -> str:
    counts = sorted({e.n for name in names if (e := findings.estimate(name, "style", metric))})
    return f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}" if counts else "n = 0"


def _headed(findings: AuditFindings, name: str) -> str:
    if name == findings.base:
        return f"{name} (base)"
    return f"{name} ({findings.ceiling_is})" if name == findings.ceiling else name


def table_2(findings: AuditFindings) -> Table:
    """The paper's Table 2, with distance and classifier beneath."""
    caption = (
        f"Each model’s answers against {findings.teacher}’s on the same prompts. Floor: {findings.teacher}’s "
        "answers to "
        f"other prompts, drawn at random. {_ceiling_note(findings)} Authoritative tone is not measured: it needs "
        "a judge."
    )
    title = "Table 2. Style beside the teacher’s"
    return _style_table(findings, "table_2", title, caption, (*TABLE_2, "distance", "told_apart"))


def _ceiling_note(findings: AuditFindings) -> str:
    if not findings.ceiling:
        return "The ceiling, a second sample of the teacher, was not measured."
    if findings.ceiling_is == "another version":
        return (
            f"{findings.ceiling} is another version of the teacher, not a second sample: it stands in for the ceiling."
        )
    return f"Ceiling: {findings.ceiling}, a second sample of the teacher."


def first_look(findings: AuditFindings) -> Table:
    """What readers see first, as agreement with the teacher; and other definitions of Table 2."""
    caption = (
        "Shares of prompts where both answers have the feature or neither has it, and mean closeness (lesser over "
        "greater) of rates; then other definitions of the rows of Table 2, under names of their own."
    )
    title = "What a reader sees first, and other definitions"
    return _style_table(findings, "first_look", title, caption, (*FIRST_LOOK, *OTHER_DEFINITIONS))


def parts(findings: AuditFindings) -> Table:
    """The style distance taken apart."""
    names = list(findings.style_parts)
    labels = [Cell(part.replace("_", " ")) for part in PARTS]
    columns, rows = grid(
        "Part", labels, names, lambda i, k: cell(findings.style_parts[names[k]].get(PARTS[i]), "number")
    )
    lines = [(name, part, *plain(e)) for name in names for part, e in findings.style_parts[name].items()]
    return Table(
        "style_parts",
        "The style distance, part by part",
        "Each part is a mean difference by prompt over what it is between the teacher’s answers to different prompts: "
        "1 is as far off as an answer to another question. “Stance” is refusing, or saying that one is an AI.",
        columns,
        rows,
        comma_separated(("model", "part", *ESTIMATE_COLUMNS), lines),
    )


def levels(findings: AuditFindings) -> Table:
    """What each model does by itself."""
    names = [m.name for m in findings.models]
    keys = list(LEVELS)
    found = {(key, name): findings.estimate(name, "level", key) for key in keys for name in names}
    columns, rows = grid(
        "Feature",
        [Cell(LEVELS[key].label) for key in keys],
        names,
        lambda i, k: cell(found[keys[i], names[k]], LEVELS[keys[i]].unit),
    )
    lines = [(name, key, *plain(e)) for (key, name), e in found.items() if e]
    return Table(
        "levels",
        "How each model writes",
        "Over its non-empty answers, without comparison.",
        columns,
        rows,
        comma_separated(("model", "feature", *ESTIMATE_COLUMNS), lines),
    )


def capability(findings: AuditFindings) -> Table:
    """Imported scores by benchmark and model."""
    measured = [m for m in findings.measured if m.kind == "capability"]
    names = [m.name for m in findings.models if any(x.model == m.name for x in measured)]
    metrics = list(dict.fromkeys(m.metric for m in measured))
    columns, rows = grid(
        "Benchmark",
        [Cell(metric) for metric in metrics],
        names,
        lambda i, k: cell(
            findings.estimate(names[k], "capability", metrics[i]), wording("capability", metrics[i]).unit
        ),
    )
    return Table(
        "capability",
        "Capability: imported scores",
        "As other harnesses recorded them; only equal protocols stand in one row.",
        columns,
        rows,
        comma_separated(
            ("model", "metric", *ESTIMATE_COLUMNS, "protocol"),
            [(m.model, m.metric, *plain(m.estimate), m.protocol) for m in measured],
        ),
    )


def tests(findings: AuditFindings) -> Table:
    """Every tested contrast with its adjusted p and what n could have shown."""
    tested = [c for c in findings.contrasts if c.p is not None]
    return Table(
        "tests",
        "Paired tests",
        "Student minus the other model on the same items. p by McNemar’s exact test where both were right or "
        "wrong, else "
        "by the bootstrap, adjusted over all tests of this audit by Holm’s method. Smallest difference: what so many "
        "items show with 80 % power.",
        ("Student", "Metric", "Against", "Difference", "p (Holm)", "Smallest difference"),
        tuple(_test_row(c) for c in tested),
        comma_separated(
            ("axis", "metric", "student", "against", "role", *ESTIMATE_COLUMNS, "test", "p", "p_holm", "smallest"),
            [_test_line(c) for c in findings.contrasts],
        ),
    )


def _test_row(c: Contrast) -> tuple[Cell, ...]:
    unit = wording(c.axis, c.metric).unit
    points = number(c.difference.value, unit).replace(" %", " pts")
    return (
        Cell(c.student),
        Cell(wording(c.axis, c.metric).heading, c.axis),
        Cell(c.against, c.role.replace("_", " ")),
        Cell(f"+{points}" if c.difference.value > 0 else points, interval(c.difference, unit), numeric=True),
        Cell(p_value(c.p_holm), c.test, numeric=True),
        Cell(number(c.smallest, unit).replace(" %", " pts"), numeric=True),
    )


def _test_line(c: Contrast) -> tuple[object, ...]:
    return (c.axis, c.metric, c.student, c.against, c.role, *plain(c.difference), c.test, c.p, c.p_holm, c.smallest)


def all_tables(findings: AuditFindings) -> dict[str, Table]:
    """Every table by id; one without rows is left out, unless its absence must be said."""
    makers = (
        models, table_2, first_look, parts, levels, capability, preference, controlled, strengths, fits, agreement,
        expertise,
        raters, tests,
    )  # fmt: skip
    built = [make(findings) for make in makers]
    return {table.id: table for table in _filled(built)}


def _filled(built: Iterable[Table]) -> Iterable[Table]:
    always = ("models", "table_2", "first_look", "style_parts", "levels", "tests")
    return (table for table in built if table.rows or table.id in always)

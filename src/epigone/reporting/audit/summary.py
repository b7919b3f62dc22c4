"""The audit as one JSON object, for machines: `epigone audit --json`. Documented in docs/reference/audit-json.md.

In: AuditFindings. Out: plain values. Names and meanings are kept stable; `format` is raised when one changes. What was
not measured is absent and stands in `missing` with its reason, never as 0 or null.
"""

from collections import defaultdict
from dataclasses import asdict

from epigone.records import Estimate
from epigone.reporting.audit.findings import AuditFindings, ExpertiseRow

FORMAT = 1


def summary(f: AuditFindings) -> dict[str, object]:
    """`style.<model>.<metric>`, `preference.<student>`, `capability.<model>.<benchmark>`, verdict, missing and more."""
    by_kind: dict[str, dict[str, dict[str, object]]] = defaultdict(lambda: defaultdict(dict))
    for m in f.measured:
        protocol = {"protocol": m.protocol} if m.kind == "capability" else {}
        by_kind[m.kind][m.model][m.metric] = _plain(m.estimate) | protocol
    return {
        "format": FORMAT,
        "title": f.title,
        "id": f.study_id,
        "teacher": f.teacher,
        "base": f.base or None,
        "ceiling": {"model": f.ceiling, "is": f.ceiling_is} if f.ceiling else None,
        "num_prompts": f.num_prompts,
        "models": {m.name: _without_name(asdict(m)) for m in f.models},
        "style": by_kind["style"],
        "floor": {name: _plain(e) for name, e in f.floors.items()},
        "style_parts": {name: {k: _plain(e) for k, e in parts.items()} for name, parts in f.style_parts.items()},
        "levels": by_kind["level"],
        "capability": by_kind["capability"],
        "preference": {name: _preference(f, name) for name in f.rates},
        "judges": {"main": f.main_panel, "criterion": f.main_criterion, "flags": list(f.flags)},
        "expertise": [_expertise(row) for row in f.expertise],
        "agreement": [{"who": a.name, "what": a.what} | _plain(a.estimate) for a in f.agreement],
        "contrasts": [_contrast(c) for c in map(asdict, f.contrasts)],
        "verdict": {v.student: {"word": v.word, "sentence": v.sentence, "axes": _axes(asdict(v))} for v in f.verdicts},
        "missing": dict(f.missing),
        "notes": list(f.notes),
    }


def _plain(e: Estimate) -> dict[str, object]:
    return {"value": e.value, "low": e.low, "high": e.high, "n": e.n, "method": e.method}


def _without_name(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != "name"}


def _preference(f: AuditFindings, model: str) -> dict[str, object]:
    """The rate of the main panel, and everything that each panel says of this model."""
    panels: dict[str, dict[str, object]] = defaultdict(dict)
    for d in f.direct:
        if d.model == model:
            panels[_panel(d.panel, d.criterion)]["direct"] = {
                "wins": d.wins,
                "ties": d.ties,
                "losses": d.losses,
                "win_or_tie": _plain(d.win_or_tie) | {"sd_of_mean": d.sd_of_mean},
                "win_share": _plain(d.win_share),
                "position": d.position,
                "p": d.p,
                "p_holm": d.p_holm,
                "controlled": {
                    c.name: _plain(c.rate) | {"features": list(c.features), "explained": _plain(c.explained)}
                    for c in d.controlled
                },
                "smallest": d.smallest,
                "num_needed": d.num_needed,
            }
    for s in f.strengths:
        if s.model == model and s.rate:
            fitted: dict[str, object] = {"num_judgments": s.num_comparisons, "win_or_tie": _plain(s.rate)}
            if s.controlled_rate:
                fitted["at_equal_style"] = _plain(s.controlled_rate)
            panels[_panel(s.panel, s.criterion)]["fitted"] = fitted
    return _plain(f.rates[model]) | {"source": f.rate_sources[model], "panels": dict(panels)}


def _panel(panel: str, criterion: str) -> str:
    return f"{panel}: {criterion}" if criterion else panel


def _expertise(row: ExpertiseRow) -> dict[str, object]:
    found: dict[str, object] = {
        "panel": _panel(row.panel, row.criterion), "model": row.model, "against": row.against, "word": row.word,
        "num_raters": row.num_raters, "num_known": row.num_known, "num_judgments": row.num_judgments,
        "mean": row.mean, "reliability": row.reliability,
        "thirds": [{"third": name, "expertise": mean, "num_raters": num} | _plain(rate)
                   for name, mean, num, rate in row.thirds],
    }  # fmt: skip
    return found | ({"slope": _plain(row.slope)} if row.slope else {"why": row.why})


def _contrast(row: dict[str, object]) -> dict[str, object]:
    difference = row.pop("difference")
    assert isinstance(difference, dict)
    return row | {key: difference[key] for key in ("value", "low", "high", "n", "method")}


def _axes(row: dict[str, object]) -> object:
    return row["axes"]

"""The JSON object of a description: what `epigone describe --json` prints and description.json holds.

In: Description. Out: plain values with names that stay; `format` is raised when a name changes its meaning. What was
not measured is absent, or stands in `missing` with the reason. Documented in docs/how-to/describe.md.
"""

from dataclasses import asdict

from epigone.metrics.categories import TABLE_5, TABLE_5_QUERIES
from epigone.metrics.corpus import Contents, Counted
from epigone.metrics.diversity import Diversity
from epigone.metrics.lengths import Lengths
from epigone.records import Estimate
from epigone.reporting.description.findings import Described, Description, Ledger

FORMAT = 1
_DIGITS = 6


def summary(description: Description) -> dict[str, object]:
    """Everything but the texts."""
    return {
        "format": FORMAT,
        "title": description.title,
        "id": description.study_id,
        "seed": description.seed,
        "tokenizer": description.tokenizer or None,
        "datasets": [_dataset(d) for d in description.datasets],
        "equal_num_queries": description.equal_amount or None,
        "agreement": [
            {"raters": list(a.raters), "num_queries": a.num_queries, "same": _estimate(a.same)}
            | ({"kappa": _estimate(a.kappa)} if a.kappa else {})
            for a in description.agreements
        ],
        "table_5": {"num_queries": TABLE_5_QUERIES, "shares": TABLE_5},
        "num_unmatched_labels": description.num_unmatched,
        "missing": dict(description.missing),
    }


def _dataset(d: Described) -> dict[str, object]:
    found: dict[str, object] = {"name": d.label, "artifact": d.id} | _contents(d.contents)
    found["diversity"] = [_diversity(curve) for curve in d.diversity]
    if d.ledger:
        found["ledger"] = _ledger(d.ledger)
    found["sample"] = [q.query_id for q in d.queries]
    found["categories"] = {
        s.rater: {
            "num_sampled": s.num_sampled,
            "num_labelled": s.num_labelled,
            "counts": s.counts,
            "shares": {name: _estimate(e) for name, e in s.shares.items()},
        }
        for s in d.shares
    }
    return found


def _contents(c: Contents) -> dict[str, object]:
    return {
        "num_conversations": c.num_conversations,
        "num_messages": c.num_messages,
        "num_words": c.num_words,
        "num_tokens": c.num_tokens,
        "roles": {
            r.role: {k: v for k, v in asdict(r).items() if k != "role" and v != -1} for r in c.roles if r.num_messages
        },
        "traits": c.traits,
        "lengths": {name: _lengths(getattr(c, name)) for name in ("query_words", "answer_words", "turns")},
        "num_languages": c.num_languages,
        "languages": _counted(c.languages),
        "num_sources": c.num_sources,
        "sources": _counted(c.sources),
        "num_openings": c.num_openings,
        "openings": {str(size): _counted(found) for size, found in enumerate(c.openings, start=1)},
    }


def _lengths(lengths: Lengths) -> dict[str, object]:
    plain: dict[str, object] = {k: _rounded(v) for k, v in asdict(lengths).items() if k != "bins"}
    plain["bins"] = [{"from": b.low, "to": b.high, "num": b.num} for b in lengths.bins]
    return plain


def _counted(found: tuple[Counted, ...]) -> dict[str, int]:
    return {c.name: c.num for c in found}


def _diversity(curve: Diversity) -> dict[str, object]:
    settings: dict[str, object] = {k: v for k, v in asdict(curve).items() if k != "points"}
    points = [
        {"num_queries": p.num_queries, "mean": _estimate(p.mean), "median": _estimate(p.median)}
        | {"identical": _rounded(p.identical)}
        for p in curve.points
    ]
    settings["points"] = points
    return settings


def _ledger(ledger: Ledger) -> dict[str, object]:
    return {
        "num_read": ledger.num_read,
        "num_kept": ledger.num_kept,
        "num_dropped": ledger.num_dropped,
        "adds_up": ledger.adds_up,
        "dropped": [asdict(d) for d in ledger.dropped],
    }


def _estimate(e: Estimate) -> dict[str, object]:
    return {
        "value": _rounded(e.value), "low": _rounded(e.low), "high": _rounded(e.high), "n": e.n, "method": e.method,
    }  # fmt: skip


def _rounded(value: object) -> object:
    return round(value, _DIGITS) if isinstance(value, float) else value

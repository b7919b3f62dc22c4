"""The paper's printed values beside those of a study, model by model that plays the same part.

In: `Evidence`. Out: a Table. The models, the data and their scale are others, so that the direction can be compared and
not the value; what has no counterpart says so. Source: Tables 1 and 2 of arXiv 2305.15717.
"""

from epigone.records import Arm
from epigone.reporting.evidence import Evidence
from epigone.reporting.published import BASE, CEILING, UNPRINTED, Published, published_rows, shown_as, table_1, table_2
from epigone.reporting.tables import RESULT_COLUMNS, Cell, Table, comma_separated, measured, result_row
from epigone.reporting.wording import metric_of


def published(evidence: Evidence) -> Table:
    """A row a published value whose metric some arm of the study has."""
    rows: list[tuple[Cell, ...]] = []
    lines: list[tuple[object, ...]] = []
    parts = _parts(evidence)
    for each in (*table_1(), *table_2()):
        metric = shown_as(each.metric)
        arm = parts.get(each.model)
        result = evidence.result(arm, metric)
        if not evidence.has(metric):
            continue
        here = measured(result, evidence.href(result)) if result else Cell("no counterpart")
        name = Cell(evidence.label(arm) if arm and result else "")
        rows.append((Cell(metric_of(metric).label), _told(each), here, name))
        lines.append((each.model, metric, each.value, each.where, *(result_row(result) if result else ())))
    caption = (
        "Other models, other data, another scale: the direction can be compared, the values cannot. The paper’s axes "
        f"of amount and size are not this study’s, and {UNPRINTED}."
    )
    columns = ("Metric", "The paper", "Here", "Which plays its part here")
    csv = comma_separated(("model", "metric", "published", "where", *RESULT_COLUMNS), lines)
    return Table("published", "The paper’s printed values beside these", caption, columns, tuple(rows), csv)


def printed(table_id: str) -> Table:
    """A table of the paper as it was printed, `table_1` or `table_2`, for those who have no counterpart of its rows."""
    by_model = published_rows(table_id)
    metrics = list(dict.fromkeys(metric for values in by_model.values() for metric in values))
    rows = tuple(
        (Cell(name.removeprefix("paper: ")), *(Cell(values[m].text, numeric=True) for m in metrics))
        for name, values in by_model.items()
    )
    lines = [(v.model, v.metric, v.value, v.where) for values in by_model.values() for v in values.values()]
    columns = ("Model", *(metric_of(shown_as(m)).label for m in metrics))
    number = table_id.removeprefix("table_")
    caption = f"As printed, without intervals; other models and other data ({lines[0][3]})."
    csv = comma_separated(("model", "metric", "published", "where"), lines)
    return Table(f"paper_{table_id}", f"The paper’s Table {number}", caption, columns, rows, csv)


def _told(each: Published) -> Cell:
    return Cell(each.text, f"{each.model.removeprefix('paper: ')}; {each.where}", numeric=True)


def _parts(evidence: Evidence) -> dict[str, Arm | None]:
    """Who plays the part of a model of the paper: its larger and smaller base, their students, base and ceiling."""
    middle, amounts = evidence.middle, evidence.students(evidence.middle, "broad", replay=False)
    found: dict[str, Arm | None] = {f"paper: {BASE}": middle, f"paper: {CEILING}": evidence.second_sample,
                                    "paper: 150M": amounts[-1] if amounts else None,
                                    "paper: ChatGPT": evidence.teacher}  # fmt: skip
    for name, base in zip(("13B", "7B"), reversed(evidence.full_bases)):
        students = evidence.students(base, replay=False)
        broad = [a for a in students if a.data == "broad" and a.imitation_tokens == evidence.common_amount]
        kinds = ("local_supported", "local_strict")
        local = [a for kind in kinds for a in students if a.data == kind]
        found |= {f"paper: {name}": base, f"paper: {name}, ShareGPT-Mix": broad[0] if broad else None,
                  f"paper: {name}, NQ-Synthetic": local[0] if local else None}  # fmt: skip
    return found

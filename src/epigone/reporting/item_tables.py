"""Two tables of a report with pages of items beside it: the telling items, and the artifacts behind the numbers.

In: `Beside`. Out: Tables, each row of which leads somewhere.
"""

from epigone.reporting.items.telling import RULE
from epigone.reporting.links import Beside, link
from epigone.reporting.tables import Cell, Table, comma_separated

KINDS = {"gained": "local", "lost": "bad", "out of reach": "open"}
"""Which chip a kind gets."""


def telling(beside: Beside) -> Table:
    """The telling items: prompt, and each answer with what came of it."""
    rows, lines = [], []
    for item in beside.telling:
        models = (name for name, _, _ in item.answers)
        answers = [Cell(text or "an empty answer", f"{name}: {word}") for name, word, text in item.answers]
        missing = [Cell("not asked")] * (3 - len(answers))
        first = Cell(item.item_id, item.label, href=link(item.benchmark, models, item.place))
        rows.append((first, Cell(item.kind, chip=KINDS[item.kind]), Cell(item.prompt), *answers, *missing))
        for name, word, text in item.answers:
            lines.append((item.benchmark, item.item_id, item.kind, item.prompt, name, word, text))
    columns = ("Item", "Kind", "The end of its prompt", "Teacher", "Base", "Student")
    header = ("benchmark", "item", "kind", "prompt", "model", "outcome", "answer")
    return Table("telling", "Telling items", RULE, columns, tuple(rows), comma_separated(header, lines))


def artifacts(beside: Beside) -> Table:
    """Every artifact that a number was read from, by model; the links hold where the report lies under its root."""
    rows = tuple((Cell(who), Cell(what), Cell(found, href=f"../../{found}/")) for who, what, found in beside.artifacts)
    caption = "A report lies in ROOT/studies/NAME, the artifacts lie in ROOT; epigone show ROOT/ID prints one."
    columns = ("Model", "What", "Artifact")
    csv = comma_separated(("model", "what", "artifact"), beside.artifacts)
    return Table("artifacts", "Artifacts", caption, columns, rows, csv)

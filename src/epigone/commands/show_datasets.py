"""What `epigone show` prints of a dataset: kept conversations beside dropped ones, each with its reason, page by page.

In: a dataset's folder. Out: rows for `--json`, or a table on the terminal.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from epigone.datasets import iterate_dataset, iterate_rows
from epigone.errors import SpecError
from epigone.records import Conversation, DroppedConversation, Message

MOST_SHOWN = 240
"""Characters of a turn."""
TURNS_SHOWN = 4
COLOURS = {"user": "cyan", "assistant": "green", "system": "magenta", "tool": "yellow"}


@dataclass(frozen=True)
class Page:
    """Some conversations that were kept, and as many that were dropped."""

    kept: list[Conversation]
    dropped: list[DroppedConversation]


def pages(folder: Path, num_rows: int, skip: int = 0, reason: str = "") -> Iterator[Page]:
    """Page after page, from row `skip` on, until neither side has more; `reason` selects among the dropped.

    Raises SpecError where nothing was dropped for that reason, with the reasons that there are.
    """
    if reason and (reasons := reasons_of(folder)) and reason not in reasons:
        there = ", ".join(f"{name} ({number})" for name, number in reasons.items())
        raise SpecError(f"nothing was dropped as {reason!r}; there are: {there}")
    kept = islice(iterate_dataset(folder / "records.parquet"), skip, None)
    dropped = islice((d for d in _dropped(folder) if not reason or d.reason == reason), skip, None)
    while True:
        page = Page(list(islice(kept, num_rows)), list(islice(dropped, num_rows)))
        if not page.kept and not page.dropped:
            return
        yield page


def reasons_of(folder: Path) -> dict[str, int]:
    """How many rows were dropped by each reason."""
    return dict(sorted(Counter(d.reason for d in _dropped(folder)).items()))


def plain(page: Page) -> dict[str, object]:
    """A page for machines."""
    return {"records": [asdict(c) for c in page.kept], "dropped": [asdict(d) for d in page.dropped]}


def show(page: Page, console: Console) -> None:
    """A page as a table: kept on the left, dropped on the right."""
    table = Table("kept", "dropped", expand=True, show_lines=True)
    table.columns[0].ratio = table.columns[1].ratio = 1
    for number in range(max(len(page.kept), len(page.dropped))):
        left = _conversation(page.kept[number]) if number < len(page.kept) else Text()
        right = _drop(page.dropped[number]) if number < len(page.dropped) else Text()
        table.add_row(left, right)
    console.print(table)


def _dropped(folder: Path) -> Iterator[DroppedConversation]:
    path = folder / "dropped.parquet"
    return iterate_rows(path, DroppedConversation) if path.exists() else iter(())


def _conversation(found: Conversation) -> Text:
    return Text.assemble((f"{found.id}  {found.source}\n", "dim"), *_turns(found.messages))


def _drop(found: DroppedConversation) -> Text:
    by = f" by {found.filter}" if found.filter else ""
    why = (f"{found.reason}{by}", "bold red")
    return Text.assemble(
        (f"{found.id}  ", "dim"), why, f"\n{found.detail}\n" if found.detail else "\n", *_turns(found.messages)
    )


def _turns(messages: Sequence[Message]) -> list[str | tuple[str, str]]:
    parts: list[str | tuple[str, str]] = []
    for message in messages[:TURNS_SHOWN]:
        said = message.content if len(message.content) <= MOST_SHOWN else f"{message.content[:MOST_SHOWN]}...."
        if message.reasoning:
            parts.append(("reasoned, then\n", "dim"))
        parts += [(f"{message.role}: ", f"bold {COLOURS[message.role]}"), f"{said or message.tool_calls}\n"]
    if len(messages) > TURNS_SHOWN:
        parts.append((f"and {len(messages) - TURNS_SHOWN} more turns", "dim"))
    return parts

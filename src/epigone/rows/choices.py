"""Questions with four options, in every layout that MMLU is published in.

In: a folder, or one file of all subjects. Out: Items by subject, every byte of a field kept; and Items as such a file,
whose column item_id keeps the ids that they have.

    SUBJECT_test.csv                        the original: no header, question,A,B,C,D,letter
    SUBJECT_test.csv                        copies: a header that ends in `answer`, answers A-D or 0-3
    test-00000-of-00001.parquet, test.csv   Hugging Face: columns question, choices, answer and mostly subject, in the
                                            folder itself, in `all`, or in a folder a subject

Sources: https://github.com/hendrycks/test; https://huggingface.co/datasets/cais/mmlu.
"""

import ast
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow
from pyarrow import parquet

from epigone.errors import DataError
from epigone.records import Item
from epigone.rows import read_text, shown

LETTERS = "ABCD"
_PATTERNS = (
    "*_{0}.csv",
    "{0}/*_{0}.csv",
    "{0}*.parquet",
    "{0}*.csv",
    "all/{0}*.parquet",
    "all/{0}*.csv",
    "*/{0}*.parquet",
    "*/{0}*.csv",
)
"""Where the files of a split are looked for; the first pattern with files is the layout."""


def read_split(place: Path, split: str) -> dict[str, list[Item]]:
    """The questions of a split (test, dev) by subject, subjects in alphabetical order.

    Ids are those of a column item_id, else SUBJECT-NUMBER from 1.

    Raises DataError naming file, row and value, or saying what was looked for.
    """
    paths = [place] if place.is_file() else _files(place, split)
    if not paths:
        raise DataError(
            f"{place}: holds no SUBJECT_{split}.csv and no {split}*.parquet; give the folder of MMLU's files"
        )
    found: dict[str, list[Item]] = {}
    for path in paths:
        for item in _items(path, _subject_of(path, split)):
            found.setdefault(item.group, []).append(item)
    return {subject: [_numbered(i, n) for n, i in enumerate(found[subject], 1)] for subject in sorted(found)}


def read_subject(path: Path, subject: str) -> list[Item]:
    """The questions of one file; `subject` is that of rows that name none. Raises DataError naming file and row."""
    return [_numbered(item, number) for number, item in enumerate(_items(path, subject), 1)]


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Items as one Parquet file in Hugging Face's columns, and item_id."""
    rows = [
        {"item_id": i.id, "question": i.question, "choices": list(i.options), "answer": i.label, "subject": i.group}
        for i in items
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _items(path: Path, subject: str) -> list[Item]:
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    return [_item(row, f"{path}: row {number}", subject) for number, row in rows]


def _files(folder: Path, split: str) -> list[Path]:
    for pattern in _PATTERNS:
        if paths := sorted(folder.glob(pattern.format(split))):
            return paths
    return []


def _subject_of(path: Path, split: str) -> str:
    name = path.name.removesuffix(f"_{split}.csv")
    return name if name != path.name else path.parent.name


def _numbered(item: Item, number: int) -> Item:
    name = item.id or f"{item.group}-{number}"
    return Item(name, item.question, item.answers, item.options, item.label, item.group)


Row = dict[str, object]


def _csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows by column, named as Hugging Face names them; numbers count a header."""
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(path), newline=""), strict=True) if row]
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); fetch it again") from error
    names = [name.strip().lower() for name in rows[0]] if rows else []
    # A header holds "answer" and "question"; in a row of the data the last field is A-D or 0-3.
    named = "answer" in names and "question" in names
    for number, row in enumerate(rows[1:] if named else rows, 2 if named else 1):
        if named and "choices" in names and len(row) == len(names):
            fields = dict(zip(names, row))
            yield number, {**fields, "choices": _listed(fields["choices"])}
        elif len(row) == 6:
            yield number, {"question": row[0], "choices": row[1:5], "answer": row[5]}
        else:
            raise DataError(f"{path}: row {number} has {len(row)} fields; 6 are needed: question, four options, answer")


def _listed(text: str) -> object:
    """A list of options as text; anything else stays the text that it is."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _parquet_rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        yield from enumerate(parquet.read_table(path).to_pylist(), 1)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file ({error}); fetch it again") from error


def _item(row: Row, where: str, subject: str) -> Item:
    question, options, answer = (row.get(name) for name in ("question", "choices", "answer"))
    if not isinstance(question, str):
        raise DataError(f"{where}: question is {shown(question)}; text is needed (columns: {', '.join(row)})")
    if not isinstance(options, list) or len(options) != 4 or not all(isinstance(o, str) for o in options):
        raise DataError(f"{where}: choices are {str(options)[:80]!r}; a list of four texts is needed")
    key = str(answer).strip().upper()
    label = LETTERS.find(key) if key in tuple(LETTERS) else "0123".find(key) if key in tuple("0123") else -1
    if label < 0:
        raise DataError(f"{where}: answer {answer!r}; allowed: A B C D or 0 1 2 3")
    return Item(
        str(row.get("item_id") or ""),
        question,
        (options[label],),
        tuple(options),
        label,
        str(row.get("subject") or subject),
    )

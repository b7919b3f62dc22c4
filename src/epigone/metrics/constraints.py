"""What an instruction may demand of an answer's form, each a rule that is followed or not.

In: a text and a constraint by its kind and options. Out: whether the text follows it. Words are runs of letters and
digits (`don't` is one), a sentence ends with . ! or ?, paragraphs are parted by blank lines. A text without anything in
it follows nothing. Loosely, a text follows what it would follow without its first or last line (a greeting, an offer
of help), or without asterisks.
Source: the idea, and the loose reading, are those of IFEval (Zhou et al. 2023, arXiv 2311.07911); rules are our own.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np

from epigone.errors import DataError
from epigone.metrics.languages import Languages
from epigone.metrics.resampling import ratios
from epigone.records import Estimate, Score

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_BULLET = re.compile(r"^\s*[-*•]\s+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+\S", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+\S", re.MULTILINE)
_HIGHLIGHT = re.compile(r"(?<![*\w])\*{1,2}(?=\S)([^*\n]+)(?<=\S)\*{1,2}(?![*\w])")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_TITLE = re.compile(r"<<[^<>\n]+>>")
_ROW = re.compile(r"^\s*\|(.+)\|\s*$", re.MULTILINE)


def _within(count: int, at_least: int, at_most: int | None) -> bool:
    return at_least <= count and (at_most is None or count <= at_most)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _sentences(text: str) -> list[str]:
    """A blank line ends a sentence, too; the number before a point of a list is none."""
    parts = re.split(r"(?<=[.!?])[\"'”’)]*(?:\s+|$)|\n\s*\n", re.sub(r"(?m)^[ \t]*\d+[.)][ \t]", "", text))
    return [part for part in parts if _WORD.search(part)]


def _paragraphs(text: str) -> list[str]:
    """A title that stands alone is none."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", text)]
    return [part for part in parts if part and not _TITLE.fullmatch(part)]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _times(text: str, phrase: str) -> int:
    """How often the words of a phrase follow one another, whatever the case."""
    wanted = re.escape(phrase.lower())
    return len(re.findall(rf"(?<!\w){wanted}(?!\w)", text.lower()))


def num_words(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many words."""
    return _within(len(_words(text)), at_least, at_most)


def num_sentences(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many sentences."""
    return _within(len(_sentences(text)), at_least, at_most)


def longest_sentence(text: str, *, at_most: int) -> bool:
    """No sentence with more words; the end of a line ends one, too."""
    return all(len(_words(sentence)) <= at_most for line in _lines(text) for sentence in _sentences(line))


def num_paragraphs(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many paragraphs."""
    return _within(len(_paragraphs(text)), at_least, at_most)


def num_lines(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many lines that are not blank."""
    return _within(len(_lines(text)), at_least, at_most)


def num_bullets(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many lines that begin with -, * or a bullet."""
    return _within(len(_BULLET.findall(text)), at_least, at_most)


def num_numbered(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many lines that are numbered, from 1 in order."""
    numbers = [int(number) for number in _NUMBERED.findall(text)]
    return _within(len(numbers), at_least, at_most) and numbers == list(range(1, len(numbers) + 1))


def num_headings(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many Markdown headings."""
    return _within(len(_HEADING.findall(text)), at_least, at_most)


def num_highlights(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many stretches *between* **asterisks**."""
    return _within(len(_HIGHLIGHT.findall(text)), at_least, at_most)


def num_placeholders(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many [placeholders] in brackets."""
    return _within(len(_PLACEHOLDER.findall(text)), at_least, at_most)


def num_capitals(text: str, *, at_least: int = 0, at_most: int | None = None) -> bool:
    """As many words of two or more letters in capitals throughout."""
    capitals = [word for word in _WORD.findall(text) if len(word) > 1 and word.isupper()]
    return _within(len(capitals), at_least, at_most)


def letter_count(text: str, *, letter: str, at_least: int = 0, at_most: int | None = None) -> bool:
    """The letter as often, whatever the case."""
    return _within(text.lower().count(letter.lower()), at_least, at_most)


def includes(text: str, *, phrases: Sequence[str]) -> bool:
    """Each phrase, as whole words, whatever the case."""
    return all(_times(text, phrase) for phrase in phrases)


def includes_times(text: str, *, phrase: str, at_least: int = 0, at_most: int | None = None) -> bool:
    """The phrase as often."""
    return _within(_times(text, phrase), at_least, at_most)


def avoids(text: str, *, phrases: Sequence[str]) -> bool:
    """None of the phrases."""
    return not any(_times(text, phrase) for phrase in phrases)


def avoids_characters(text: str, *, characters: str) -> bool:
    """None of the characters, whatever the case."""
    return not set(characters.lower()) & set(text.lower())


def all_lower(text: str) -> bool:
    """No capital letter."""
    return text == text.lower() and any(map(str.isalpha, text))


def all_upper(text: str) -> bool:
    """No small letter."""
    return text == text.upper() and any(map(str.isalpha, text))


def starts_with(text: str, *, phrase: str) -> bool:
    """The phrase first, letter by letter."""
    return text.lstrip().startswith(phrase)


def ends_with(text: str, *, phrase: str) -> bool:
    """The phrase last, letter by letter."""
    return text.rstrip().endswith(phrase)


def quoted(text: str) -> bool:
    """In double quotation marks as a whole."""
    bare = text.strip()
    return len(bare) > 2 and bare[0] == bare[-1] == '"'


def one_of(text: str, *, options: Sequence[str]) -> bool:
    """One of the options and nothing else, whatever the case, with or without a full stop."""
    return text.strip().rstrip(".").lower() in [option.lower() for option in options]


def title(text: str) -> bool:
    """A <<title>> in double angular brackets on the first line."""
    return bool(_lines(text) and _TITLE.fullmatch(_lines(text)[0]))


def postscript(text: str, *, marker: str = "P.S.") -> bool:
    """A last paragraph or line that begins with the marker, and goes on."""
    last = _lines(text)[-1:]
    starts = [*last, *_paragraphs(text)[-1:]]
    return any(start.startswith(marker) and len(start) > len(marker) for start in starts)


def two_answers(text: str) -> bool:
    """Two different answers, parted by a line of six asterisks."""
    parts = [" ".join(_words(part)) for part in re.split(r"^\s*\*{6}\s*$", text, flags=re.MULTILINE)]
    return len(parts) == 2 and all(parts) and parts[0] != parts[1]


def paragraph_starts(text: str, *, number: int, word: str) -> bool:
    """The paragraph of that number, from 1, begins with the word, whatever the case."""
    paragraphs = _paragraphs(text)
    return len(paragraphs) >= number and _words(paragraphs[number - 1])[:1] == [word.lower()]


def json_only(text: str, *, keys: Sequence[str] = ()) -> bool:
    """One JSON object or array and nothing else; of an object, with these keys."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if isinstance(value, dict):
        return all(key in value for key in keys)
    return isinstance(value, list) and not keys


def table(text: str, *, num_columns: int, at_least: int = 1) -> bool:
    """A Markdown table of so many columns, with so many rows below its head."""
    rows = [[cell.strip() for cell in row.split("|")] for row in _ROW.findall(text)]
    ruled = [number for number, row in enumerate(rows) if all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    return ruled == [1] and len(rows) - 2 >= at_least and all(len(row) == num_columns for row in rows)


def acrostic(text: str, *, word: str) -> bool:
    """The lines' first letters spell the word, whatever the case."""
    return "".join(line[0] for line in _lines(text)).lower() == word.lower()


def alphabetical(text: str) -> bool:
    """The lines stand in alphabetical order, what marks a bullet aside."""
    bare = [re.sub(r"^(?:[-*•]|\d+[.)])\s+", "", line).lower() for line in _lines(text)]
    return len(bare) > 1 and bare == sorted(bare)


def language(text: str, *, code: str) -> bool:
    """In the language of an ISO 639 code, by a classifier; a text too short to tell is not."""
    return _languages().of_text(text) == code


@cache
def _languages() -> Languages:
    return Languages()


CHECKS: dict[str, Callable[..., bool]] = {
    check.__name__: check
    for check in (
        *(num_words, num_sentences, longest_sentence, num_paragraphs, num_lines, num_bullets, num_numbered),
        *(num_headings, num_highlights, num_placeholders, num_capitals, letter_count, includes, includes_times),
        *(avoids, avoids_characters, all_lower, all_upper, starts_with, ends_with, quoted, one_of, title),
        *(postscript, two_answers, paragraph_starts, json_only, table, acrostic, alphabetical, language),
    )
}
"""Every rule by the name of its kind."""


def known(kind: str, options: Mapping[str, object], where: str) -> None:
    """Raises DataError, naming the place, for a kind that there is not, or options that it does not have."""
    if kind not in CHECKS:
        raise DataError(f"{where}: there is no constraint {kind!r}; there is: {', '.join(CHECKS)}")
    try:
        inspect.signature(CHECKS[kind]).bind("", **options)
    except TypeError as error:
        raise DataError(f"{where}: constraint {kind}: {error}; it is: {inspect.signature(CHECKS[kind])}") from error


def follows(text: str, kind: str, options: Mapping[str, object]) -> bool:
    """Whether a text follows a constraint, strictly."""
    return bool(text.strip()) and CHECKS[kind](text, **options)


def follows_loosely(text: str, kind: str, options: Mapping[str, object]) -> bool:
    """Whether it does so in one of the readings that forgive a line before or after the answer, and emphasis."""
    return any(follows(reading, kind, options) for reading in readings(text))


def readings(text: str) -> list[str]:
    """The text, and what is left without its first line, its last line, or asterisks: eight in all."""
    lines = text.strip().split("\n")
    cuts = [lines[first : len(lines) - last] for first, last in product((0, 1), (0, 1))]
    whole = [text, *("\n".join(cut).strip() for cut in cuts[1:])]
    return [*whole, *(reading.replace("*", "") for reading in whole)]


def by_instruction(scores: Sequence[Score], reading: str = "strict") -> Estimate:
    """Share of all constraints that were followed (strict or loose), of the benchmark `instruction_following`.

    Each constraint counts once, so that an item with three weighs three times as much as one with one.
    """
    columns = [
        np.asarray([[score.metrics[name]] for score in scores], np.float64)
        for name in (f"followed_{reading}", "num_constraints")
    ]
    return ratios(*columns).estimate()

"""A list of verdicts: a text file with one label a line, line i being question i.

In: such a file, named review_MODELA_MODELB_RATER.txt; labels are the models' names (one must be recognised: VICUNA13B
is vicuna-13b), or a and b, 1 and 2, model_a and model_b, and TIE. Out: Judgment or Drop a line.
Source: https://github.com/i-Eval/FairEval (review/review_gpt35_vicuna-13b_human.txt: CHATGPT, VICUNA13B, TIE).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.errors import DataError
from epigone.records import Drop, Judgment, Verdict
from epigone.rows import HEAD_CHARS, bare_name, head, read_text

_LABEL = re.compile(r"[\w.+ -]{1,60}")
_NAMED = re.compile(r"review_(?P<models>.+)_(?P<rater>[^_]+)")
_GENERIC: dict[str, Verdict] = {"a": "a", "1": "a", "modela": "a", "b": "b", "2": "b", "modelb": "b"}


@dataclass(frozen=True)
class VerdictList:
    """Reads the verdicts; the file's name says who was compared and who judged, unless the options do."""

    model_a: str = ""
    """Name of the first model; by default out of the file's name."""
    model_b: str = ""
    """Name of the second model; by default out of the file's name."""

    def fits(self, path: Path) -> bool:
        """A few short labels over and over, TIE or a generic one or a model of the file's name among them."""
        text = head(path)
        lines = [line.strip() for line in text.split("\n")][: -1 if len(text) == HEAD_CHARS else None]
        if not all(_LABEL.fullmatch(line) for line in lines if line):
            return False
        labels = {_plain(line) for line in lines if line}
        known = {"tie", *_GENERIC} | {_plain(name) for pair in _pairs(path) for name in pair}
        return 0 < len(labels) <= 6 and bool(labels & known)

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a line, in order. Raises DataError where no label is recognised."""
        lines = [line.strip() for line in read_text(path).rstrip().split("\n")]
        (a, b), verdicts = self._verdicts(path, lines)
        named = _NAMED.fullmatch(bare_name(path))
        rater = named["rater"] if named else "human" if "human" in path.name.lower() else "judge"
        is_person = "human" in path.name.lower()
        for number, line in enumerate(lines, start=1):
            verdict = verdicts.get(_plain(line))
            if verdict is None:
                yield Drop(str(number), "no verdict", repr(line[:80]) if line else "")
            else:
                panel = "human" if is_person else rater
                yield Judgment(str(number), a, b, verdict, rater, "unknown", panel=panel, is_person=is_person)

    def _verdicts(self, path: Path, lines: list[str]) -> tuple[tuple[str, str], dict[str, Verdict]]:
        """The models, and what each label says. Raises DataError."""
        labels = Counter(label for label in map(_plain, lines) if label and label != "tie")
        pairs = [(self.model_a, self.model_b)] if self.model_a and self.model_b else _pairs(path)
        for a, b in pairs:
            if (verdicts := _meaning(_plain(a), _plain(b), labels)) is not None:
                return (a, b), verdicts
        if pairs and labels.keys() <= _GENERIC.keys():
            return pairs[0], {"tie": "tie", **_GENERIC}
        what = ", ".join(repr(label) for label, _ in labels.most_common(4))
        raise DataError(
            f"{path}: none of the labels ({what}) is one of the models {pairs}; name the file "
            f"review_MODELA_MODELB_RATER.txt, or set the options model_a and model_b"
        )


def _meaning(a: str, b: str, labels: Counter[str]) -> dict[str, Verdict] | None:
    """Label -> verdict where a label is a model's name; the label that is nobody's and most frequent is the other's."""
    if a == b or not {a, b} & labels.keys():
        return None
    others = [label for label, _ in labels.most_common() if label not in (a, b)]
    if a not in labels and others:
        a = others[0]
    elif b not in labels and others:
        b = others[0]
    return {a: "a", b: "b", "tie": "tie"}


def _pairs(path: Path) -> list[tuple[str, str]]:
    """The two models of a file's name; a name with more underscores may be cut at each."""
    named = _NAMED.fullmatch(bare_name(path))
    parts = named["models"].split("_") if named else []
    return [("_".join(parts[:cut]), "_".join(parts[cut:])) for cut in range(1, len(parts))]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())

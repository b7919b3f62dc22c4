"""FastChat's first reviews: {"question_id", "answer1_id", "answer2_id", "text", "score", "reviewer_id"}.

In: JSON lines; the reviewers' names from a reviewer.jsonl beside the file or up to three folders up, where reviewer_id
is a place in it, from 1; whose answers they are from the folder `answer` there. Out: Judgment or Drop. Answer 1 was
always shown first. The two marks stand in the first line of the review ("9 8.5"), as FastChat parsed it; where it ends
in them instead, the published `score` alone says them.
Source: https://github.com/lm-sys/FastChat (fastchat/eval/eval_gpt_review.py and fastchat/eval/table of June 2023).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from epigone.records import Drop, Judgment, Verdict
from epigone.rows import bare_name, beginning, finite, identity, nearby, read_array_or_rows, shown

_CATEGORY = re.compile(r"-(?:default|generic|general|coding|math)$")


@dataclass(frozen=True)
class FastChatReviews:
    """Reads reviews; `a` and `b` are answer ids, since a review says no more of who answered, with the name behind."""

    def fits(self, path: Path) -> bool:
        """Rows with answer1_id, answer2_id and text or score."""
        names = beginning(path).keys()
        return {"answer1_id", "answer2_id"} <= names and bool({"text", "score"} & names)

    def read(self, path: Path) -> Iterator[Judgment | Drop]:
        """One Judgment or Drop a review, in file order. Raises DataError where a line is no JSON object."""
        reviewers, models = _reviewers(path), _models(path)
        for number, row in read_array_or_rows(path):
            review_id = identity(row.get("review_id")) or f"row-{number}"
            ids = [identity(row.get(name)) for name in ("question_id", "answer1_id", "answer2_id")]
            scores = _scores(row)
            if not all(ids):
                yield Drop(review_id, "no ids", f"row {number} needs question_id, answer1_id and answer2_id")
            elif isinstance(scores, str):
                yield Drop(review_id, scores, f"score {_shown_pair(row.get('score'))}, text {shown(row.get('text'))}")
            else:
                rater, panel = _rater(row.get("reviewer_id"), reviewers)
                yield Judgment(
                    prompt_id=ids[0],
                    a=_answer(ids[1], models),
                    b=_answer(ids[2], models),
                    verdict=_verdict(scores),
                    rater=rater,
                    first="a",
                    panel=panel,
                    scores=scores,
                )


def _scores(row: dict[str, object]) -> tuple[float, float] | str:
    """The two marks, or the reason why there are none."""
    published, text = row.get("score"), row.get("text")
    written = _pair(text.split("\n")[0].replace(",", " ").split()) if isinstance(text, str) else None
    if published is None:
        return written or "no verdict"
    told = _pair(published)
    if told is None:
        return "no verdict"
    return told if written is None or written == told else "marks disagree"


def _pair(values: object) -> tuple[float, float] | None:
    """Two marks, none below 0 (FastChat writes -1 where it could not parse)."""
    if not isinstance(values, list) or len(values) != 2:
        return None
    one, two = (_number(value) for value in values)
    return (one, two) if one is not None and two is not None and min(one, two) >= 0 else None


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return finite(float(value)) if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value, re.ASCII) else None
    return finite(value)


def _shown_pair(value: object) -> str:
    return f"[{', '.join(map(shown, value[:3]))}]" if isinstance(value, list) else shown(value)


def _verdict(scores: tuple[float, float]) -> Verdict:
    if scores[0] == scores[1]:
        return "tie"
    return "a" if scores[0] > scores[1] else "b"


def _answer(answer_id: str, models: dict[str, str]) -> str:
    return f"answer:{answer_id}={models[answer_id]}" if answer_id in models else f"answer:{answer_id}"


def _models(path: Path) -> dict[str, str]:
    """Model by answer id, as FastChat's own scripts name answer files: answer_gpt35.jsonl holds gpt35's."""
    folder = nearby(path, "answer", 3)
    files = sorted(folder.glob("answer_*.jsonl")) if folder else []
    return {
        identity(row.get("answer_id")): bare_name(file).removeprefix("answer_")
        for file in files
        for _, row in read_array_or_rows(file)
    }


def _reviewers(path: Path) -> list[str]:
    file = nearby(path, "reviewer.jsonl", 3)
    return [identity(row.get("reviewer_id")) for _, row in read_array_or_rows(file)] if file else []


def _rater(value: object, reviewers: list[str]) -> tuple[str, str]:
    """(rater, panel): gpt-4-0328-coding judges for gpt-4-0328; a number that nobody explains is a reviewer's."""
    name = identity(value)
    if isinstance(value, int) and not isinstance(value, bool):
        name = reviewers[value - 1] if 1 <= value <= len(reviewers) else ""
        if not name:
            return f"reviewer {value}", "reviewer"
    return (name, _CATEGORY.sub("", name) or name) if name else ("reviewer", "reviewer")

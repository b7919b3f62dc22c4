"""RealToxicityPrompts beyond one greedy sample: several samples, missing scores, and the teacher's refusals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from epigone.benchmarks.real_toxicity_prompts import RealToxicityPrompts
from epigone.errors import SpecError, WorkError
from epigone.records import Completion, Prompt, SamplingParams
from epigone.toxicity.profanity import Profanity
from epigone.toxicity.recorded_perspective import RecordedPerspective


@dataclass(frozen=True)
class Known:
    """A scorer that knows some texts."""

    scores: Mapping[str, float]
    asked: list[str]

    @property
    def identity(self) -> str:
        return "known"

    def toxicity(self, texts: Sequence[str]) -> list[float | None]:
        self.asked.extend(texts)
        return [self.scores.get(text) for text in texts]


@dataclass
class Drawing:
    """A model whose replies to a prompt follow one another by the seed."""

    replies: Mapping[str, Sequence[str]]
    asked: list[SamplingParams]

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> list[Completion]:
        self.asked.append(sampling)
        texts = [prompt.text or prompt.messages[-1].content for prompt in prompts]
        return [Completion(self.replies[text][sampling.seed], 3, "stop") for text in texts]


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return lines(tmp_path / "rtp.jsonl", *({"prompt": {"text": text, "toxicity": 0.1}} for text in "ABCD"))


def test_average_and_maximum_have_two_names(prompts: Path) -> None:
    scorer = Known({"all is well": 0.25, "not so well": 0.75, "fine": 0.1}, [])
    replies = {
        "A": ("all is well", "not so well", "fine"),
        "B": ("fine", "...", "fine"),  # nothing to score
        "C": ("fine", "unknown to it", "all is well"),  # a score is missing
        "D": ("fine", "fine", "I'm sorry, but I cannot go on"),
    }
    rtp = RealToxicityPrompts(prompts, scorer, num_samples=3, temperature=1, top_p=0.9, minimum_coverage=0.5)
    model = Drawing(replies, [])
    a, b, c, d = rtp.run(model)
    assert a.metrics == pytest.approx(
        {"non_toxic": 1 - 1.1 / 3, "max_toxicity": 0.75, "any_toxic": 1, "scored": 1, "refused": 0, "short": 1 / 3}
    )
    assert b.metrics == pytest.approx({"non_toxic": 0.9, "scored": 2 / 3, "refused": 0, "short": 1})
    assert c.metrics == pytest.approx({"non_toxic": 1 - 0.35 / 2, "scored": 2 / 3, "refused": 0, "short": 1 / 3})
    assert d.metrics["refused"] == pytest.approx(1 / 3) and "max_toxicity" not in d.metrics
    assert [sample.reply for sample in c.samples] == list(replies["C"]) and c.reply == "fine"
    assert "toxicity" not in c.samples[1].metrics and c.samples[2].metrics["toxicity"] == 0.25
    assert "..." not in scorer.asked
    assert model.asked == [SamplingParams(20, 1.0, seed, top_p=0.9) for seed in range(3)]


def test_too_few_scores_are_a_failure(prompts: Path) -> None:
    rtp = RealToxicityPrompts(prompts, Known({"fine": 0.1}, []))
    model = Drawing({"A": ["fine"], "B": ["?"], "C": ["so"], "D": ["fine"]}, [])
    with pytest.raises(WorkError, match=r"known scored 2 of 3 replies, at least 80% are needed"):
        rtp.run(model)
    assert [score.metrics.get("non_toxic") for score in replace(rtp, minimum_coverage=0.6).run(model)] == [
        0.9,
        None,
        None,
        0.9,
    ]


def test_refusals_beside_the_teachers(prompts: Path, tmp_path: Path) -> None:
    """Found by id, or by text; an empty answer is none."""
    refusal = "I'm sorry, but I cannot help with that."

    def answer(prompt_id: str, text: str, asked: str = "") -> dict[str, object]:
        messages = [{"role": "user", "content": asked}] if asked else []
        return {"prompt_id": prompt_id, "messages": messages, "text": text, "finish_reason": "stop", "model": "t"}

    teacher = lines(
        tmp_path / "t.jsonl",
        answer("rtp-1", refusal),
        answer("other", "Well, why not.", "B"),
        answer("rtp-3", ""),
        answer("rtp-4", refusal),
    )
    rtp = RealToxicityPrompts(prompts, Profanity(), chat=True, teacher_path=teacher)
    model = Drawing({"A": [refusal], "B": [refusal], "C": [refusal], "D": ["And so it went on."]}, [])
    found = [{n: v for n, v in s.metrics.items() if n not in ("scored", "short", "non_toxic")} for s in rtp.run(model)]
    assert found == [
        {"refused": 1, "teacher_refused": 1, "shared_refusal": 1},
        {"refused": 1, "teacher_refused": 0, "over_refusal": 1},
        {"refused": 1},
        {"refused": 0, "teacher_refused": 1, "shared_refusal": 0},
    ]


def test_protocol_holds_the_scorer(prompts: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "t.jsonl"
    rtp = RealToxicityPrompts(prompts, Profanity())
    recorded = RecordedPerspective(prompts)
    several = replace(rtp, num_samples=25, temperature=1.0)
    ids = {one.protocol for one in (rtp, several, replace(rtp, scorer=recorded), replace(rtp, top_p=0.9))}
    ids.add(replace(rtp, scorer=replace(recorded, attribute="insult")).protocol)
    row = {"prompt_id": "rtp-1", "messages": [], "text": "Yes.", "finish_reason": "stop", "model": "t"}
    lines(teacher, row)
    ids.add(replace(rtp, teacher_path=teacher).protocol)
    lines(teacher, row | {"text": "I cannot."})
    ids.add(replace(rtp, teacher_path=teacher).protocol)
    assert len(ids) == 7
    assert rtp.protocol == replace(rtp, path="elsewhere", minimum_coverage=0.1).protocol
    with pytest.raises(SpecError, match="one sample, or several at a temperature above 0"):
        RealToxicityPrompts(prompts, Profanity(), num_samples=25)


def test_the_published_continuations_with_their_recorded_scores(data_root: Path) -> None:
    """1 - the mean of what Perspective said of the web's own continuations, counted off the file."""
    path = data_root / "realtoxicityprompts" / "prompts_sample_1000.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    model = Drawing({row["prompt"]["text"]: [row["continuation"]["text"]] for row in rows}, [])
    scores = RealToxicityPrompts(path, RecordedPerspective(path)).run(model)
    published = [row["continuation"]["toxicity"] for row in rows]
    known = [value for value in published if value is not None]
    found = [score.metrics["non_toxic"] for score in scores if "non_toxic" in score.metrics]
    assert len(scores) == 1000 and len(found) == len(known)
    assert sum(found) / len(found) == pytest.approx(1 - sum(known) / len(known))

"""The stage `judge`: what was not answered is missing, and too much of it stops the stage."""

from pathlib import Path

import pytest

from epigone.errors import WorkError
from epigone.records import Generation, Judgment, Message, Response
from epigone.spec import Artifact, Component
from epigone.stages.judge import Judge
from epigone.store import read_records, write_records

ASKED = (Message("user", "Tell me."),)


def folder(root: Path, name: str, texts: list[str], cls: type[Generation] | type[Response]) -> Path:
    path = root / name
    write_records(path / "records.jsonl", [cls(f"p{n}", ASKED, text, "stop", name) for n, text in enumerate(texts)])
    return path


def judged(root: Path, texts: list[str], minimum_coverage: float) -> list[Judgment]:
    paths = {
        "generations/student": folder(root / "generations", "student", texts, Generation),
        "responses/teacher": folder(root / "responses", "teacher", ["I say so."] * len(texts), Response),
    }
    facts = root / "facts"
    facts.mkdir()
    (facts / "facts.jsonl").write_text("")
    (facts / "claims.json").write_text("{}")
    checker = Component.of("testbed", "epigone.testbed.claims:ClaimChecker", path=str(facts))
    rater = Component.of("judges", "simulated_rater", expertise=0.5, checker=checker)
    student, teacher = (Artifact(name) for name in paths)
    stage = Judge(student, teacher, (rater,), "student", minimum_coverage)
    counts = stage.run(lambda source: paths[source.id], root)
    assert counts["num_prompts"] == len(texts)
    return read_records(root / "records.jsonl", Judgment)


def test_an_empty_answer_is_missing_and_no_loss(tmp_path: Path) -> None:
    found = judged(tmp_path, ["So.", " ", "So it is.", "", "Yes."], 0.6)
    assert {j.prompt_id for j in found} == {"p0", "p2", "p4"}
    assert len(found) == 9  # three raters each
    assert all(j.simulated for j in found)


@pytest.mark.parametrize(("texts", "minimum"), [(["So.", "", ""], 0.5), (["", ""], 0.0)])
def test_too_few_answers_stop_the_stage(tmp_path: Path, texts: list[str], minimum: float) -> None:
    with pytest.raises(WorkError, match=rf"{sum(map(bool, texts))} of {len(texts)} prompts.*minimum_coverage"):
        judged(tmp_path, texts, minimum)

"""An audit that knows of its raters: who knows better prefers whom, by attention checks and by right answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from epigone.errors import DataError
from epigone.metrics.known_answers import Known
from epigone.records import Judgment
from epigone.reporting.audit.alignment import align, matched_judgments
from epigone.reporting.audit.analysis import Recorded, build_audit
from epigone.reporting.audit.document import render
from epigone.reporting.audit.expertise import expertise_rows, rights
from epigone.reporting.audit.findings import AuditFindings, ExpertiseRow
from epigone.reporting.audit.summary import summary
from epigone.spec import Artifact, Input
from epigone.stages.audit import Named, _checks
from epigone.stages.read_judgments import ReadJudgments
from epigone.store import write_json, write_records
from made_up_audit import NUM_PROMPTS, models, styled

NUM_RATERS = 30


def crowd(slope: float = -1.0) -> tuple[list[Judgment], dict[str, Known]]:
    """Raters of rising expertise, of whom those who know better find S equal to T or better less often."""
    rng = np.random.default_rng(4)
    votes: list[Judgment] = []
    known: dict[str, Known] = {}
    for r in range(NUM_RATERS):
        expertise = 0.5 + 0.45 * r / NUM_RATERS
        known[f"r{r}"] = Known(40, int(rng.binomial(40, expertise)))
        chance = 1 / (1 + np.exp(-slope * (expertise - 0.72) / 0.1))
        for n in rng.permutation(NUM_PROMPTS)[:30]:
            verdict = "a" if rng.random() < chance else "b"
            votes.append(Judgment(str(n), "S", "T", verdict, f"r{r}", "a", panel="crowd", is_person=True))
    return votes, known


def audited(**changes: object) -> AuditFindings:
    recorded = replace(Recorded([models()[0], models()[3]]), **changes)
    return build_audit(recorded, title="Made up", study_id="studies/x", minimum_coverage=0.8)


def rows_of(votes: list[Judgment], known: dict[str, Known], given=None, references=None) -> list[ExpertiseRow]:
    aligned = align(given or models(), 0.8)
    right = rights(aligned, [], references or {})
    found = matched_judgments(aligned, votes)[0]
    return list(expertise_rows({("crowd", ""): found}, ["S", "U"], "T", known, right))


def test_checks_that_came_with_the_votes_tell_the_slope_and_it_is_shown() -> None:
    votes, known = crowd()
    found = audited(judgments=votes, checks=known)
    (row,) = found.expertise
    assert (row.panel, row.model, row.against) == ("crowd", "S", "T")
    assert (row.num_raters, row.num_judgments, row.num_known) == (NUM_RATERS, 30 * NUM_RATERS, 40 * NUM_RATERS)
    assert row.word == "falls with expertise" and row.slope.low < -1.0 < row.slope.high
    files = render(found)
    assert "Do raters who know better prefer it more or less?" in str(files["report.html"])
    assert "falls with expertise" in str(files["tables/expertise.csv"]) and "figures/expertise.svg" in files
    assert str(files["figures/expertise.csv"]).count("third") == 3 + 1  # three rows and the heading
    (told,) = summary(found)["expertise"]
    assert told["slope"]["value"] == row.slope.value and len(told["thirds"]) == 3
    assert "beta-binomial" in found.methods


def test_right_answers_tell_of_raters_and_count_in_no_preference() -> None:
    """On prompts 0-9 the reference stands in the answers of T alone: whoever prefers T there was right."""
    given = [m if m.name != "S" else replace(m, generations=[replace(g, text="No idea.") for g in m.generations[:10]]
             + list(m.generations[10:])) for m in models()]  # fmt: skip
    votes, _ = crowd()
    rng = np.random.default_rng(5)
    votes = [vote for vote in votes if int(vote.prompt_id) >= 10]
    for r in range(NUM_RATERS):
        for n in range(10):
            verdict = "b" if rng.random() < 0.4 + 0.55 * r / NUM_RATERS else "a"
            votes.append(Judgment(str(n), "S", "T", verdict, f"r{r}", "a", panel="crowd", is_person=True))
    references = {str(n): f"subject {n}" for n in range(10)}
    assert all(references[str(n)] in styled(n) for n in range(10))
    (row,) = rows_of(votes, {}, given, references)
    assert row.num_known == 10 * NUM_RATERS and row.num_judgments == len(votes) - 10 * NUM_RATERS
    right = sum(vote.verdict == "b" for vote in votes if int(vote.prompt_id) < 10)
    assert row.mean == pytest.approx(right / (10 * NUM_RATERS))
    assert row.word == "falls with expertise"


def test_without_anything_known_there_is_no_row_and_with_too_little_a_reason() -> None:
    votes, known = crowd()
    assert rows_of(votes, {}) == []
    few = [vote for vote in votes if vote.rater in ("r1", "r2", "r3")]
    (row,) = rows_of(few, known)
    assert row.slope is None and "at least 30 of 6 are needed" in row.why and row.word == "not measured"
    assert rows_of([vote for vote in few if vote.rater != "r3"], known) == []  # two raters are no crowd


def test_what_is_known_of_raters_stays_with_exported_votes(tmp_path: Path) -> None:
    folder, out = tmp_path / "judgments" / "exported", tmp_path / "out"
    votes, _ = crowd()
    write_records(folder / "records.jsonl", votes)
    (folder / "raters.jsonl").write_text('{"rater": "r1", "num_attention": 4, "num_attention_right": 3}\n')
    write_json(folder / "DONE", {})
    out.mkdir()
    ReadJudgments(Input(str(folder)), "crowd").run(lambda given: folder, out)
    source = Named(Artifact("judgments/read"))
    assert dict(_checks(source, lambda given: out)) == {"r1": Known(4, 3)}
    (out / "raters.jsonl").write_text(json.dumps({"rater": "r1", "num_attention": "four"}) + "\n")
    with pytest.raises(DataError, match="row 1 needs rater, num_attention and num_attention_right"):
        dict(_checks(source, lambda given: out))

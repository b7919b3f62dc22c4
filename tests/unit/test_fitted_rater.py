"""The judge that is fitted to votes: drawn as fitted, blind, an option of the testbed that leaves the rest alone."""

import json
from collections import Counter
from dataclasses import asdict, dataclass

import pytest
from typer.testing import CliRunner

from epigone.cli.app import app
from epigone.errors import DataError, SpecError
from epigone.fitted_raters import fitted_file, fitted_note
from epigone.judges.fitted_rater import FittedRater, read_model
from epigone.metrics.rater_model import FEATURES, RaterModel, features
from epigone.records import Arm, Claim, Generation, Message, Prompt, Response
from epigone.reporting.evaluated import ModelData
from epigone.reporting.findings import build_findings
from epigone.spec import Artifact, Component, Resolver, in_order
from epigone.stages.judge import Judge
from epigone.stages.report import ModelInputs, _load
from epigone.store import write_json, write_records
from epigone.studies.testbed import testbed as study_of

LONG, SHORT = "- a long answer\n- with a list of many words", "Short."


@dataclass(frozen=True)
class Words:
    """RIGHT is a right claim, WRONG a wrong one."""

    def check(self, text: str, asked: str) -> list[Claim]:
        words: dict[str, Claim] = {"RIGHT": "right", "WRONG": "wrong"}
        return [words[word] for word in text.split() if word in words]


def model_file(path, **slopes):
    found = RaterModel("test", dict.fromkeys(FEATURES, 0.0) | slopes, 0.2, 0.5, 100, 10, 5, "votes of nobody")
    write_json(path, asdict(found))
    return str(path)


def ask(number):
    return Prompt(f"p{number}", messages=(Message("user", "Say more"),))


def test_verdicts_are_drawn_as_often_as_fitted(tmp_path):
    rater = FittedRater(model_file(tmp_path / "r.json", list=1.0), num_raters=10)
    rows = [j for n in range(200) for j in rater.compare(ask(n), ("s", LONG), ("t", SHORT))]
    model = read_model(tmp_path / "r.json")
    seen = features("Say more", LONG), features("Say more", SHORT)
    for first in ("a", "b"):
        own = [j for j in rows if j.first == first]
        expected = model.probabilities(*seen, first)
        for verdict, share in zip(("a", "tie", "b"), expected, strict=True):
            assert sum(j.verdict == verdict for j in own) == pytest.approx(share * len(own), abs=100)
    assert abs(Counter(j.first for j in rows)["a"] - 1000) < 120
    assert all(j.simulated and j.rater.startswith("fitted-test-r") for j in rows)


def test_which_side_a_model_is_passed_as_makes_no_difference(tmp_path):
    rater, mirrored = FittedRater(model_file(tmp_path / "r.json", list=1.0)), {"a": "b", "b": "a", "tie": "tie"}
    for n in range(40):
        one, two = (rater.compare(ask(n), *pair) for pair in ([("s", LONG), ("t", SHORT)], [("t", SHORT), ("s", LONG)]))
        assert [mirrored[j.verdict] for j in one] == [j.verdict for j in two]
        assert [mirrored[j.first] for j in one] == [j.first for j in two]


def test_a_right_answer_counts_where_it_can_be_told(tmp_path):
    path = model_file(tmp_path / "r.json", right=50.0)
    told = FittedRater(path, Words(), num_raters=5).compare(ask(1), ("s", "so RIGHT"), ("t", "so WRONG"))
    assert {j.verdict for j in told} == {"a"}
    unknown = FittedRater(path, num_raters=40).compare(ask(1), ("s", "so RIGHT"), ("t", "so WRONG"))
    assert len({j.verdict for j in unknown}) == 3


def test_the_file_is_parsed_and_named_where_it_is_wrong(tmp_path):
    for content in ({"name": "x"}, {"features": {}}, {"name": "x", "unknown": 1}):
        (tmp_path / "bad.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"bad\.json is no fitted rater"):
            read_model(tmp_path / "bad.json")
    good = json.loads((tmp_path / model_file(tmp_path / "r.json")).read_text())
    for change in ({"features": {"beauty": 1.0}}, {"tie": 0.0}, {"first": "__import__('os')"}):
        (tmp_path / "bad.json").write_text(json.dumps(good | change))
        with pytest.raises(Exception, match=r"beauty|no fitted rater|violates type hint"):
            read_model(tmp_path / "bad.json")
    with pytest.raises(SpecError, match="num_raters is 0"):
        FittedRater("r.json", num_raters=0)


def test_the_shipped_rater_holds_numbers_and_says_how_little_it_foretells():
    found = read_model(fitted_file("llmfao"))
    assert (found.num_votes, found.num_raters, found.licence) == (8931, 124, "CC BY 4.0")
    assert set(found.features) == set(FEATURES) and found.held_out.gain.low < 0 < found.held_out.gain.high
    assert "so they too are simulated" in fitted_note("llmfao") and "8,931" in fitted_note("llmfao")
    with pytest.raises(SpecError, match="shipped is llmfao"):
        fitted_file("nobody")


def test_the_testbed_takes_it_and_is_the_same_without():
    def ids(study):
        resolver = Resolver()
        return {resolver.id(stage) for stage in in_order([study.report], resolver)}

    plain, with_it = (study_of(seeds=1, scale="small", fitted_rater=rater) for rater in ("", "llmfao"))
    assert ids(plain) == ids(study_of(seeds=1, scale="small"))
    changed = {each.partition("/")[0] for each in ids(plain) ^ ids(with_it)}
    assert changed == {"judgments", "studies"}
    assert not any("fitted" in note for note in plain.report.notes)
    assert "fitted" in with_it.report.notes[-1] and with_it.name == "testbed-1-seeds-small-fitted"


def test_a_report_keeps_the_two_kinds_of_raters_apart(tmp_path):
    answers = {"student": [LONG, SHORT, LONG], "teacher": [SHORT, SHORT, SHORT]}
    asked = (Message("user", "Say more"),)
    paths = {}
    for name, texts in answers.items():
        kind, cls = ("responses", Response) if name == "teacher" else ("generations", Generation)
        paths[f"{kind}/{name}"] = tmp_path / kind / name
        rows = [cls(f"p{n}", asked, text, "stop", name) for n, text in enumerate(texts)]
        write_records(tmp_path / kind / name / "records.jsonl", rows)
    checker = Component.of("testbed", "test_fitted_rater:Words")
    raters = (
        Component.of("judges", "simulated_rater", expertise=0.5, checker=checker),
        Component.of("judges", "fitted_rater", model=model_file(tmp_path / "r.json", list=9.0), checker=checker),
    )
    student, teacher = Artifact("generations/student"), Artifact("responses/teacher")
    out = tmp_path / "judgments"
    Judge(student, teacher, raters, "student").run(lambda source: paths[source.id], out)
    arm = Arm("student", "w", 1, 1, "broad", 10)
    given = {**paths, "judgments/student": out}
    loaded = _load(ModelInputs(arm, 0, (), student, Artifact("judgments/student")), lambda s: given[s.id])
    assert {j.rater for j in loaded.fitted} == {f"fitted-test-r{n}" for n in (1, 2, 3)}
    assert list(loaded.judgments) == [0.5]
    models = [ModelData(Arm("teacher", "teacher"), 0), loaded]
    found = build_findings(
        models, (), title="t", study_id="s", checker=Words(), prompts={f"p{n}": "" for n in range(3)}
    )
    by_metric = {r.metric: r for r in found.results if r.arm == loaded.arm}
    assert by_metric["preference_fitted"].protocol.startswith("raters fitted to votes of people")
    assert by_metric["preference_e0.5"].protocol.startswith("simulated raters of expertise 0.5")
    assert by_metric["preference_fitted"].estimate.n == 3


def test_the_command_fits_a_file_of_votes(tmp_path):
    answers = [
        {"id": str(n), "model": model, "messages": [{"role": "user", "content": f"Question {n}?"},
         {"role": "assistant", "content": text}]}
        for n in range(6)
        for model, text in (("A", "1. one\n2. two\n3. three"), ("B", f"word {n}"), ("C", "3"))
    ]  # fmt: skip
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    votes = ["id,prompt,model_x,model_y,worker,winner,left,right"]
    for n in range(6):
        for worker in range(4):
            votes.append(f"{n},{n},1,2,{worker},{'left' if worker else 'tie'},A,B")
            votes.append(f"{n},{n},1,2,{worker},{'right' if worker % 2 else 'left'},C,B")
    votes.append("9,9,1,2,1,left,A,B")
    (tmp_path / "votes.csv").write_text("\n".join(votes))
    (tmp_path / "references.jsonl").write_text('{"prompt_id": "0", "reference": "3"}\n')
    arguments = ["fit-rater", tmp_path / "votes.csv", "--answers", tmp_path / "answers.jsonl"]
    arguments += ["--references", tmp_path / "references.jsonl", "--out", tmp_path / "rater.json", "--json"]
    told = CliRunner().invoke(app, [str(each) for each in arguments])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert (found["num_votes"], found["num_raters"], found["num_prompts"], found["num_left_out"]) == (48, 4, 6, 1)
    assert found["features"]["list"] > 0.2
    written = {name: value for name, value in found.items() if name not in ("file", "num_left_out")}
    assert asdict(read_model(tmp_path / "rater.json")) == written | {"left_out": tuple(found["left_out"])}

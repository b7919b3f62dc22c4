"""Tracing: signals by rules one can check, students found among candidates, independent models not named, no leaks."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from epigone.commands.trace import Wanted, run_trace, stage_of
from epigone.errors import DataError, SpecError
from epigone.metrics.attribution import CANNOT_TELL, NONE, Known, trace
from epigone.metrics.discrimination import RIDGE
from epigone.metrics.fingerprints import Evidence, evidence, fingerprint, maker, maker_named
from epigone.spec import Input
from epigone.stages.read_answers import ReadAnswers
from epigone.stages.trace import Trace, TracedModel
from epigone.store import Store

NUM_PROMPTS = 40
TEACHERS = ("alto", "bravo", "coral")
WORDS = ("river", "stone", "letter", "winter", "garden", "silver", "market", "bridge", "signal", "harbour", "candle")
LETTERS = list("abcdefghijklmnopqrstuvwxyz")
HOSTILE = "<img src=x onerror=alert(1)>"


def says(persona: int, prompt: int, rng: np.random.Generator) -> str:
    """An answer in a made-up persona's own phrases about a prompt's own words."""
    topic = [WORDS[(prompt * 5 + k) % len(WORDS)] for k in range(4)]
    habit = np.random.default_rng(persona)
    phrases = [" ".join("".join(habit.choice(LETTERS, 5)) for _ in range(3)) for _ in range(4)]
    chosen = rng.permutation(phrases)[:3]
    return ". ".join(f"{phrase} {word}" for phrase, word in zip(chosen, topic)) + "."


def answers(persona: int, seed: int, *, copied: float = 1.0) -> list[str]:
    """A model that speaks as a persona in a share of its answers and else as itself."""
    rng = np.random.default_rng([seed, 9])
    return [says(persona if rng.uniform() < copied else 100 + seed, p, rng) for p in range(NUM_PROMPTS)]


@pytest.fixture(scope="module")
def models() -> dict[str, list[str]]:
    found = {name: answers(k, k) for k, name in enumerate(TEACHERS)}
    found |= {
        f"{name}-{k}": answers(t, 10 + 3 * t + k, copied=0.6) for t, name in enumerate(TEACHERS) for k in range(3)
    }
    return found | {f"other-{k}": answers(40 + k, 40 + k) for k in range(10)}


@pytest.fixture(scope="module")
def found(models: dict[str, list[str]]) -> Evidence:
    return evidence({name: fingerprint(texts) for name, texts in models.items()}, TEACHERS)


def known(*without: str) -> list[Known]:
    students = [Known(f"{name}-{k}", (name,), f"{name}-family") for name in TEACHERS for k in range(3)]
    return [one for one in [*students, *(Known(f"other-{k}") for k in range(10))] if one.name not in without]


def test_students_are_found_and_independent_models_are_not_named(found: Evidence) -> None:
    """A student of every teacher, whose family no fit has seen, is traced; of ten independent models at most one is."""
    suspects, held_out = trace(found, known("coral-2", "other-9"), ["coral-2", "other-9"])
    assert suspects[0].verdict(0.1) == "coral" and suspects[0].p_named == pytest.approx(0.1)
    assert suspects[1].p_named > 0.1 and suspects[1].verdict(0.1) in (NONE, CANNOT_TELL)
    assert suspects[0].verdict(0.05) == CANNOT_TELL  # nine independent models show no rate below a tenth
    students = [one for one in held_out if one.truth]
    assert sum(one.best in (one.truth or ()) for one in students) == len(students)
    assert sum(one.verdict(0.1) not in (NONE, CANNOT_TELL) for one in held_out if not one.truth) <= 1
    for one in (*suspects, *held_out):
        assert sum(each.value for each in one.probabilities.values()) == pytest.approx(1)
        assert all(each.low <= each.value <= each.high for each in one.probabilities.values())


def test_nothing_is_said_without_independent_models(found: Evidence) -> None:
    only = [one for one in known("coral-2") if one.imitates]
    for some in ([], only):
        suspects, _ = trace(found, some, ["coral-2"])
        assert suspects[0].best == "coral" and suspects[0].p_named == 1
        assert suspects[0].verdict(0.9) not in TEACHERS and suspects[0].verdict(0.1) == CANNOT_TELL


def test_a_held_out_family_has_no_part_in_its_own_trace(found: Evidence) -> None:
    """What is said of a family's models does not change where they are said to imitate another."""
    lied = [replace(one, imitates=("alto",)) if one.group == "coral-family" else one for one in known()]
    honest, other = ({one.name: one for one in trace(found, some, [])[1]} for some in (known(), lied))
    for name in ("coral-0", "coral-1", "coral-2"):
        assert honest[name].probabilities == other[name].probabilities
    assert honest["alto-0"].probabilities != other["alto-0"].probabilities


def test_words_are_learnt_on_other_prompts_than_they_are_tried_on(
    models: dict[str, list[str]], found: Evidence
) -> None:
    """Teachers' answers to half of the prompts do not touch that half's scores, which are those of scikit-learn."""
    changed = {
        name: fingerprint([f"{t} zebra" if name in TEACHERS and h == 0 else t for t, h in zip(texts, found.half)])
        for name, texts in models.items()
    }
    place = found.models.index("coral-1")
    one, two = found.values["wording"][place], evidence(changed, TEACHERS).values["wording"][place]
    assert np.array_equal(one[:, found.half == 0], two[:, found.half == 0])
    assert not np.array_equal(one[:, found.half == 1], two[:, found.half == 1])
    prints = [fingerprint(models[name]).rows[found.half == 1].toarray() for name in TEACHERS]
    labels = np.repeat(np.eye(3), len(prints[0]), axis=0) - 1 / 3
    ridge = Ridge(alpha=RIDGE, fit_intercept=False).fit(np.vstack(prints), labels)
    tried = fingerprint(models["coral-1"]).rows[found.half == 0].toarray()
    assert pytest.approx(ridge.predict(tried), abs=1e-8) == one[:, found.half == 0].T


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("As an AI model, I was trained by OpenAI to help.", "openai"),
        ("I’m Claude, made by Anthropic.", "anthropic"),
        ("I am a large language model, trained by Google.", "google"),
        ("My name is ChatGPT.", "openai"),
        ("I was developed by researchers from Large Model Systems", ""),
        ("OpenAI is a company in San Francisco.", ""),
    ],
)
def test_whom_an_answer_names(text: str, wanted: str) -> None:
    assert maker_named(text) == wanted


def test_naming_refusals_and_errors_are_counted_by_rule() -> None:
    sorry = "I'm sorry, but as a responsible assistant I cannot help with that request of yours"
    mine = ["I was made by OpenAI.", sorry, "Oslo", "Rome", "Lima", ""]
    first = ["I am ChatGPT.", "no", "Oslo", f"{sorry}.", "Quito", "x"]
    second = [
        "I am Claude, made by Anthropic.",
        "My guidelines forbid it: let's keep this respectful",
        "Bern",
        "no",
        "x",
        "y",
    ]
    prints = {name: fingerprint(texts) for name, texts in (("first", first), ("second", second), ("mine", mine))}
    assert maker("first", prints["first"]) == "openai" and maker("gpt-4", prints["mine"]) == "openai"
    accepted = [(), (), ("Bern",), (), ("Lima",), ()]
    found = evidence(prints, ("first", "second"), accepted).values
    naming, refusals, errors = (found[name][2] for name in ("naming", "refusals", "errors"))
    assert naming[:, 0].tolist() == [1, -1] and naming[:, 2].tolist() == [0, 0] and np.isnan(naming[:, 5]).all()
    assert refusals[0, 1] > 2 * refusals[1, 1] and np.isnan(refusals[:, 2]).all()
    assert errors[0].tolist()[2:5:2] == [1.0, 0.0] and np.isnan(
        errors[0][3]
    )  # the same wrong city; right where it errs
    assert np.isnan(errors[1][2])  # the second candidate is right there
    silent = evidence({"first": prints["first"], "mine": prints["mine"]}, ("first",))
    assert set(silent.not_measured) == {"wording", "errors"}


def rows(path: Path, name: str, texts: list[str]) -> str:
    found = [{"instruction": f"prompt {k}", "output": text, "generator": name} for k, text in enumerate(texts)]
    path.write_text(json.dumps(found))
    return str(path)


@pytest.fixture
def roster(models: dict[str, list[str]], tmp_path: Path) -> Path:
    listed = []
    for name, texts in models.items():
        rows(tmp_path / f"{name}.json", name, texts)
        family = name.rpartition("-")[0]
        entry: dict[str, object] = {"path": f"{name}.json", "role": "teacher" if name in TEACHERS else "unrelated"}
        if family in TEACHERS:
            entry |= {"role": "known", "imitates": [family], "family": family}
        listed.append(entry)
    path = tmp_path / "models.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in listed))
    return path


def built(stage: Trace, root: Path) -> Path:
    store = Store(root)
    for model in stage.models:
        store.build(model.answers)
    return store.build(stage)


def test_a_roster_and_a_suspect_make_a_page(roster: Path, tmp_path: Path) -> None:
    suspect = rows(tmp_path / "suspect.json", HOSTILE, answers(1, 77, copied=0.7))
    stage = stage_of(Wanted(suspects=[f"{HOSTILE[1:4]}={suspect}"], models=str(roster)))
    folder = built(stage, tmp_path / "runs")
    told = json.loads((folder / "trace.json").read_text())
    assert told["suspects"][0]["verdict"] == "bravo" and told["suspects"][0]["model"] == "img"
    assert told["by_rate"]["0.1"]["closed_set"]["n"] == 9 and told["by_rate"]["0.1"]["false_positives"]["n"] == 10
    page = (folder / "report.html").read_text()
    assert "<h2>How far to believe it</h2>" in page and "bravo" in page
    assert "| bravo" in (folder / "tables" / "confusion.md").read_text()
    assert (folder / "figures" / "suspects.svg").exists()
    assert Store(tmp_path / "other").resolver.id(stage) == Store(tmp_path / "runs").resolver.id(stage)


def test_a_base_that_is_named_too_leaves_nothing_to_say(roster: Path, tmp_path: Path) -> None:
    suspect, base = (rows(tmp_path / f"s{k}.json", f"s{k}", answers(1, k, copied=0.7)) for k in (77, 78))
    folder = built(stage_of(Wanted(suspects=[suspect], base=base, models=str(roster))), tmp_path / "runs")
    told = json.loads((folder / "trace.json").read_text())
    assert told["base"]["verdict"] == "bravo" and told["suspects"][0]["verdict"] == CANNOT_TELL
    assert told["suspects"][0]["most_probable"] == "bravo" and any("itself is traced" in note for note in told["notes"])


def test_mistakes_are_told(roster: Path, tmp_path: Path) -> None:
    suspect = rows(tmp_path / "s.json", "s", ["x"] * NUM_PROMPTS)
    with pytest.raises(SpecError, match="needs a candidate teacher"):
        stage_of(Wanted(suspects=[suspect]))
    with pytest.raises(SpecError, match="needs a suspect"):
        stage_of(Wanted(teachers=[suspect]))
    with pytest.raises(SpecError, match="no file"):
        stage_of(Wanted(models=str(roster), data=str(tmp_path / "elsewhere")))
    with pytest.raises(SpecError, match="write TEACHER:PATH"):
        stage_of(Wanted(models=str(roster), known=[suspect]))
    with pytest.raises(SpecError, match="'delta', which is no candidate"):
        stage_of(Wanted(models=str(roster), known=[f"delta:{suspect}"]))
    with pytest.raises(SpecError, match="between 0 and 1"):
        stage_of(Wanted(models=str(roster), false_positive_rate=5.0))
    (tmp_path / "bad.jsonl").write_text('{"path": "s.json", "role": "suspekt"}\n')
    with pytest.raises(DataError, match="row 1 needs a path and a role"):
        stage_of(Wanted(models=str(tmp_path / "bad.jsonl")))
    answer = ReadAnswers(Input(suspect), "s")
    with pytest.raises(SpecError, match="says which candidates"):
        TracedModel("s", "known", answer)


def test_published_answers_of_few_models_say_who_is_nearest_and_no_more(data_root: Path, tmp_path: Path) -> None:
    """Vicuna learnt from ChatGPT, and is nearer to it than to Bard; one independent model is too few to say so."""
    table = data_root / "vicuna80" / "answer"
    wanted = Wanted(
        suspects=[f"{table}/answer_vicuna-13b.jsonl"],
        teachers=[f"{table}/answer_gpt35.jsonl", f"{table}/answer_bard.jsonl"],
        unrelated=[f"{table}/answer_llama-13b.jsonl"],
    )
    told = run_trace(wanted, tmp_path, quiet=True)
    one = told["suspects"][0]
    assert one["most_probable"] == "gpt35" and one["verdict"] == CANNOT_TELL and one["p_named"] == 0.5
    assert told["num_prompts"] == 80 and any("takes 9 independent models" in note for note in told["notes"])

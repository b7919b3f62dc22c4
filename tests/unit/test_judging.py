"""Judges that are language models: replies read as published, both orders, repeats, what cannot be read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epigone.errors import SpecError, WorkError
from epigone.interfaces import Marks, Shown
from epigone.judges.pairwise import Pairwise
from epigone.judges.rubric import AXES, Rubric
from epigone.judges.tone import Tone
from epigone.judges.vicuna import Vicuna
from epigone.metrics.preference import win_or_tie_rate
from epigone.records import Generation, Judgment, Message
from epigone.spec import Artifact, Component
from epigone.stages.ask_judge import AskJudge
from epigone.store import read_records, write_records

SHOWN = Shown("Why?", "{because}", "Since.\nVERDICT: 1")
MODEL = "judge_models:Known"


def test_vicuna_reads_the_marks_that_were_published(data_root):
    """GPT-4's reviews, each published with the pair of marks that FastChat read in it."""
    num_read, num_other = 0, 0
    for file in sorted((data_root / "vicuna80" / "review").rglob("*.jsonl")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            found = Vicuna().read([row["text"]])[""]
            first_line = row["text"].split("\n")[0].replace(",", " ").split()  # FastChat's own rule, parse_score
            if len(first_line) == 2 and all(word.replace(".", "", 1).isdigit() for word in first_line):
                assert found is not None and list(found.scores) == row["score"], row["text"][:80]
                num_read += 1
            else:  # the math questions, whose marks were read by hand
                assert found is None, row["text"][:80]
                num_other += 1
    assert num_read > 20 * num_other > 0


def test_vicuna_asks_what_was_published(data_root):
    published = json.loads((data_root / "vicuna80" / "prompt.jsonl").read_text().splitlines()[0])
    (messages,) = Vicuna().questions(SHOWN)
    filled = published["prompt_template"].format(
        question="Why?", answer_1=SHOWN.first, answer_2=SHOWN.second, prompt=published["defaults"]["prompt"]
    )
    assert messages == (Message("system", published["system_prompt"]), Message("user", filled))


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [("1 > 2\nIt is.", "first"), ("2 > 1", "second"), ("1 < 2", "second"), ("1 = 2", "tie"), ("1 > 1", None)],
)
def test_vicuna_reads_a_ranking(reply, verdict):
    found = Vicuna(reading="ranking").read([reply])[""]
    assert (found.verdict if found else None) == verdict
    assert "preference ranking" in Vicuna(reading="ranking").questions(SHOWN)[0][1].content


@pytest.mark.parametrize("reply", ["8 11", "8", "8 7 6", "", "Assistant 1 is better", "-3 4", "8 7 out of 10"])
def test_marks_that_are_none(reply):
    assert Vicuna().read([reply])[""] is None


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Both are fine.\nVERDICT: EQUAL", "tie"),
        ("**Verdict: 2**", "second"),
        ("Verdict: Answer 1.", "first"),
        ("2", "second"),
        ("VERDICT: 1\nVERDICT: 2", None),
        ("VERDICT: 1\nVERDICT: 1", "first"),
        ("I prefer 1", None),
        ("", None),
        ("VERDICT: 3", None),
    ],
)
def test_pairwise_reads_one_verdict_or_none(reply, verdict):
    found = Pairwise().read([reply])[""]
    assert (found.verdict if found else None) == verdict


def test_rubric_reads_every_axis_by_itself():
    reply = "Correctness: 3 4\n- instruction following: 5/5, 5/5\nhelpfulness: 2\nclarity: 6 1"
    found = Rubric().read([reply])
    assert found["correctness"] == Marks("second", (3.0, 4.0))
    assert found["instruction following"] == Marks("tie", (5.0, 5.0))
    assert found["helpfulness"] is None and found["clarity"] is None
    assert list(found) == list(AXES)
    with pytest.raises(SpecError, match="no reference"):
        Rubric(needs_reference=True).questions(SHOWN)
    with pytest.raises(SpecError, match="no axis 'beauty'"):
        Rubric(axes=("beauty",))
    assert "known to be right" in Rubric().questions(SHOWN._replace(reference="42"))[0][0].content


def test_tone_sees_each_answer_alone():
    asked = Tone().questions(SHOWN)
    assert len(asked) == 2
    assert SHOWN.second not in asked[0][0].content and SHOWN.first not in asked[1][0].content
    assert Tone().read(["Yes.", "NO"]) == {"authoritative tone": Marks("first", (1.0, 0.0))}
    assert Tone().read(["Yes.", "maybe"]) == {"authoritative tone": None}
    assert Tone().read(["yesterday", "no"]) == {"authoritative tone": None}


@given(st.text())
def test_no_reply_breaks_a_judge(reply):
    for judge in (Vicuna(), Vicuna(reading="ranking"), Pairwise(), Rubric()):
        judge.read([reply])
    Tone().read([reply, reply])


def judged(tmp_path, way, **options):
    texts = {f"p{n}": ("short", "a longer answer" if n < 6 else "shirt") for n in range(8)}
    texts["p8"] = ("something", " ")
    for side in (0, 1):
        folder = tmp_path / f"generations/{'ab'[side]}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = [Generation(p, (Message("user", "q"),), pair[side], "stop", "AB"[side]) for p, pair in texts.items()]
        write_records(folder / "records.jsonl", rows)
    stage = AskJudge(
        *(Artifact(f"generations/{side}") for side in "ab"),
        judge=options.pop("judge", Component.of("judges", "pairwise")),
        model=options.pop("model", Component.of("backends", MODEL, way=way)),
        rater="known",
        **options,
    )
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    return stage.run(lambda given: tmp_path / given.id, out), out


def test_a_judge_of_answers_flips_never_and_one_of_places_always(tmp_path):
    told, out = judged(tmp_path, "longer")
    assert told["criteria"]["better"] | {"num_ties": 0} == {
        "num_looks": 16,
        "num_unread": 0,
        "num_both_orders": 8,
        "num_flips": 0,
        "flip_rate": 0.0,
        "first_place_share": 0.5,
        "num_ties": 0,
    }
    assert told["num_pairs"] == 8 and told["num_left_out"] == 1
    found = win_or_tie_rate(read_records(out / "records.jsonl", Judgment), "B")
    assert (found.wins, found.ties, found.losses) == (6, 2, 0)
    told, out = judged(tmp_path / "places", "first")
    assert told["criteria"]["better"]["flip_rate"] == 1.0 and told["criteria"]["better"]["first_place_share"] == 1.0
    found = win_or_tie_rate(read_records(out / "records.jsonl", Judgment), "B")
    assert (found.wins, found.ties, found.losses) == (0, 8, 0)


def test_what_cannot_be_read_is_asked_for_again_and_then_missing(tmp_path):
    told, out = judged(tmp_path, "mumbling")
    missing = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reason"]) for row in missing] == [
        ("p1 order a", "unreadable reply"),
        ("p1 order b", "unreadable reply"),
    ]
    assert told["num_unread"] == 2 and told["num_judgments"] == 14
    assert "could not say" in missing[0]["detail"]
    raw = (out / "raw.jsonl").read_text().splitlines()
    assert len(raw) == 16 + 8  # every reply is kept, those that were asked for again too
    with pytest.raises(WorkError, match="readings found no verdict"):
        judged(tmp_path / "strict", "mumbling", minimum_coverage=0.95)


def test_the_same_replies_read_anew_give_the_same(tmp_path):
    told, out = judged(tmp_path, "mumbling")
    replies = Component.of("backends", "replay", path=str(out / "raw.jsonl"))
    again, anew = judged(tmp_path / "anew", "mumbling", model=replies)
    assert again == told
    for name in ("records.jsonl", "dropped.jsonl"):
        assert (anew / name).read_bytes() == (out / name).read_bytes()


def test_repeats_need_a_temperature_and_are_raters_of_their_own(tmp_path):
    with pytest.raises(SpecError, match="every repeat says the same"):
        judged(tmp_path, "longer", num_repeats=2)
    told, out = judged(tmp_path, "longer", num_repeats=3, temperature=1.0)
    assert told["criteria"]["better"]["num_looks"] == 48
    assert len({judgment.rater for judgment in read_records(out / "records.jsonl", Judgment)}) == 6

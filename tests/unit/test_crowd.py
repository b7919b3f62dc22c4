"""Crowd platforms: the paper's settings and cost by hand, a batch that goes out and comes back, what is accepted.

The batch of DExperts (Mechanical Turk, as downloaded) says what the columns are; it is read where EPIGONE_DATA is set.
"""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from epigone.commands.crowd import Sources, Wanted, run_crowd, run_release, run_review
from epigone.commands.rating_sources import compared, read_models
from epigone.errors import DataError, SpecError
from epigone.rating import raters, turk
from epigone.rating.offers import Offer, cost_of
from epigone.rating.pairs import ATTENTION, BETTER, pairs_of, read_known
from epigone.rating.seats import Ballot, Seat, seat_for, vote
from epigone.rating.turk_ratings import batch_ratings
from epigone.recordings.judgments.mechanical_turk import MechanicalTurk
from epigone.records import Drop, Judgment
from epigone.rows import prompt_id_of, read_table
from rating_cases import made_campaign, write_answers

BATCH = "human_ratings/dexperts/sentiment/Batch_4318682_4462264_batch_results_anonymized.csv"
TRICKY = 'Less < more & "quoted"\n</div><script>x</script> \U0001f600 ends.'


def wanted(folder: Path, num_prompts: int, **more: object) -> Wanted:
    answers = [str(path) for path in write_answers(folder, num_prompts, p1=TRICKY)]
    offer = {name: more.pop(name) for name in list(more) if name not in ("url", "completion_code", "most")}
    return Wanted(Sources(answers), {"platform": "mechanical_turk"} | offer, **more)


def test_the_cost_by_hand() -> None:
    """255 prompts of the paper at one minute: 255 + 26 checks, 3 raters, $0.25 each."""
    cost = cost_of(Offer("mechanical_turk"), 255)
    assert (cost.num_checks, cost.num_ratings, cost.reward_usd) == (26, 843, 0.25)
    assert (cost.raters_usd, cost.fee_usd, cost.total_usd) == (210.75, 42.15, 252.9)
    assert cost.hours == 14.1, "843 minutes are 14.05 hours"
    assert Offer("mechanical_turk", seconds=50).reward_usd == 0.21, "rounded up: 15 * 50 / 3600 is 0.2083"
    assert Offer("mechanical_turk", seconds=60.0001).reward_usd >= 0.25
    assert cost_of(Offer("mechanical_turk", num_raters=10), 1).fee_usd == pytest.approx(0.4 * 2 * 10 * 0.25)
    assert cost_of(Offer("prolific", fee_share=0.5), 9).fee_usd == pytest.approx(0.5 * 10 * 3 * 0.25, abs=0.01)


@pytest.mark.parametrize(
    "options",
    [{"platform": "elsewhere"}, {"platform": "prolific", "seconds": 0}, {"platform": "prolific", "fee_share": -1}],
)
def test_offers_that_cannot_be(options: dict) -> None:
    with pytest.raises(SpecError):
        Offer(**options)


def test_what_is_given(tmp_path: Path) -> None:
    one, two = map(str, write_answers(tmp_path, 4))
    both = tmp_path / "both.jsonl"
    both.write_text(Path(one).read_text() + Path(two).read_text())
    assert list(read_models([str(both)])) == ["amber-7b", "basalt-7b"]
    assert list(read_models([f"x={one}", f"basalt-7b={both}"])) == ["x", "basalt-7b"]
    with pytest.raises(SpecError, match="amber-7b was given already"):
        read_models([one, str(both)])
    with pytest.raises(DataError, match="holds several models"):
        read_models([f"x={both}"])
    with pytest.raises(SpecError, match="one model's answers"):
        compared(Sources([one]))
    only = tmp_path / "only.jsonl"
    asked = [{"id": f"k{n}", "prompt": f"Tell me something about {t} ({n})."} for n, t in ((2, "chess"), (0, "bread"))]
    only.write_text("".join(json.dumps(row) + "\n" for row in asked))
    pairs, drops = compared(Sources([one, two], only=only))
    assert [pair.prompt_id for pair in pairs] == ["p2", "p0"], "in the order of the file"
    assert [drop.reason for drop in drops] == ["not among the prompts"] * 2
    three = write_answers(tmp_path / "more", 4)[0]
    pairs, _ = compared(Sources([one, two, f"third={three}"], every_pair=True))
    assert Counter((p.a, p.b) for p in pairs) == {
        ("amber-7b", "basalt-7b"): 4, ("amber-7b", "third"): 4, ("basalt-7b", "third"): 4}  # fmt: skip
    only.write_text('{"id": "k", "prompt": "Something else?"}\n')
    with pytest.raises(DataError, match="none of its 1 prompts is asked"):
        compared(Sources([one, two], only=only))


def test_the_papers_settings_go_to_mechanical_turk(tmp_path: Path) -> None:
    found = run_crowd(wanted(tmp_path, 12), tmp_path / "out", dry_run=False, quiet=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "hit.json", "input.csv", "layout.html"]
    hit = json.loads((tmp_path / "out" / "hit.json").read_text())
    assert (hit["MaxAssignments"], hit["Reward"], found["total_usd"]) == (3, "0.25", 3 * 13 * 0.25 * 1.2)
    needed = {q["QualificationTypeId"]: q for q in hit["QualificationRequirements"]}
    assert needed["000000000000000000L0"]["IntegerValues"] == [95]
    assert needed["00000000000000000040"]["IntegerValues"] == [100]
    countries = {value["Country"] for value in needed["00000000000000000071"]["LocaleValues"]}
    assert countries == {"US", "GB", "CA", "AU", "NZ", "IE"}
    layout = (tmp_path / "out" / "layout.html").read_text()
    rows = [row for _, row in read_table(tmp_path / "out" / "input.csv")]
    used = {name for name in rows[0] if f"${{{name}}}" in layout}
    assert used == {"sentprefix", "senta", "sentb"}, "who wrote what is not on the page"
    assert all("<" not in row[name] and max(map(ord, row[name])) < 0x10000 for row in rows for name in used)


def test_a_dry_run_tells_the_cost_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = wanted(tmp_path, 4)
    listed = sorted(tmp_path.rglob("*"))
    found = run_crowd(before, tmp_path / "out", dry_run=True, quiet=False)
    assert sorted(tmp_path.rglob("*")) == listed and found["num_ratings"] == 15
    assert "$3.75 for raters, $0.75 for the platform, $4.50 in all" in capsys.readouterr().err
    with pytest.raises(SpecError, match="--out"):
        run_crowd(before, None, dry_run=False, quiet=True)


WORKERS = ("A1FIRSTWORKER", "A2SECONDWORKER", "A3THIRDWORKER")


def results(folder: Path, rows: list[dict[str, str]], names: list[str]) -> Path:
    """A batch as the site gives it back: the third worker takes what is shown first, whatever it is."""
    path = folder / "Batch_results.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, restval="", extrasaction="ignore")
        writer.writeheader()
        for number, row in enumerate(rows):
            right = {"amber-7b": "amber-7b", BETTER: BETTER}.get(row["sourcea"], row["sourceb"])
            for worker in WORKERS:
                good = "a" if row["sourcea"] == right else "b"
                told = {f"Input.{name}": value for name, value in row.items()}
                told |= {"HITId": f"H{number}", "AssignmentId": f"{worker[:2]}-{number}", "WorkerId": worker}
                told |= {"AssignmentStatus": "Submitted", "WorkTimeInSeconds": "61", "Answer.commentbox": "{}"}
                writer.writerow(told | {"Answer.qOverall": "b" if worker == WORKERS[2] else good})
    return path


def columns_of(row: dict[str, str]) -> list[str]:
    inputs = [f"Input.{name}" for name in row]
    known = ["HITId", "AssignmentId", "WorkerId", "AssignmentStatus", "WorkTimeInSeconds"]
    return [*known, *inputs, "Answer.commentbox", "Answer.qOverall", "Approve", "Reject"]


def test_a_batch_goes_out_and_its_results_are_judgments(tmp_path: Path) -> None:
    answers = [str(path) for path in write_answers(tmp_path, 20, p1=TRICKY)]
    pairs, _ = pairs_of(read_models(answers))
    rows = turk.batch_rows(pairs, [p for p in read_known() if p.kind == ATTENTION])
    assert len(rows) == 22 and {row["sourcea"] for row in rows if row["prompt_id"].startswith("p")} == {
        "amber-7b", "basalt-7b"}, "which is shown first changes"  # fmt: skip
    path = results(tmp_path, rows, columns_of(rows[0]))
    found = list(MechanicalTurk().read(path))
    judgments = [row for row in found if isinstance(row, Judgment)]
    assert Counter(row.reason for row in found if isinstance(row, Drop)) == {"attention check": 6}
    assert Counter(j.prompt_id for j in judgments) == {prompt_id_of(pair.asked): 3 for pair in pairs}
    honest = [j for j in judgments if j.rater in {rater_of(w) for w in WORKERS[:2]}]
    assert {(j.a if j.verdict == "a" else j.b) for j in honest} == {"amber-7b"} and len(honest) == 40
    assert not any(worker in str(found) for worker in WORKERS), "hashed on the way in"
    assert {j.criterion for j in judgments} == {"Overall"} and {j.seconds for j in judgments} == {61.0}


def rater_of(worker: str) -> str:
    return f"w-{hashlib.sha256(worker.encode()).hexdigest()[:8]}"


def test_an_exported_batch_has_the_columns_of_a_real_one(data_root: Path, tmp_path: Path) -> None:
    with (data_root / BATCH).open(newline="", encoding="utf-8") as handle:
        real = next(csv.reader(handle))
    ours = [f"Input.{name}" for name in turk.COLUMNS if name != "escaping"]
    assert set(ours) <= set(real)
    assert [name for name in real if name in ours] == ours, "in their order"
    assert "Answer.commentbox" in real and 'name="commentbox"' in turk.layout()
    assert turk.VERDICT.startswith("Answer.q") and any(name.startswith("Answer.q") for name in real)
    _, rows, _ = turk.reviewed(data_root / BATCH, 0)
    assert list(rows[0]) == real, "what goes back has the columns that came"


def test_a_real_batch_is_looked_through(data_root: Path, tmp_path: Path) -> None:
    times = [int(row["WorkTimeInSeconds"]) for _, row in read_table(data_root / BATCH)]
    limit = sorted(times)[30]
    found = run_review(
        data_root / BATCH, "mechanical_turk", tmp_path / "out", database="", fewest_seconds=limit, quiet=True
    )
    quick = sum(seconds < limit for seconds in times)
    rows = [row for _, row in read_table(tmp_path / "out" / "reviewed.csv")]
    assert quick > 0 and [bool(row["Reject"]) for row in rows].count(True) == quick
    assert all((row["Approve"] == "x") != bool(row["Reject"]) for row in rows)
    assert sum(found["counts"].values()) == 900 and found["counts"]["accepted"] == 900 - quick


def test_who_misses_the_checks_is_not_accepted_and_told_why(tmp_path: Path) -> None:
    answers = [str(path) for path in write_answers(tmp_path, 60)]
    pairs, _ = pairs_of(read_models(answers))
    rows = turk.batch_rows(pairs, [p for p in read_known() if p.kind == ATTENTION])
    path = results(tmp_path, rows, columns_of(rows[0]))
    found = run_review(path, "mechanical_turk", tmp_path / "out", database="", fewest_seconds=5, quiet=True)
    missed = sum(row["sourcea"] == BETTER for row in rows)
    assert missed >= 3, "of six checks"
    assert found["counts"] == {"accepted": 132, f"{missed} of 6 attention checks were answered wrongly.": 66}
    back = [row for _, row in read_table(tmp_path / "out" / "reviewed.csv")]
    assert {row["WorkerId"] for row in back if row["Reject"]} == {WORKERS[2]}
    with pytest.raises(SpecError, match="is there already"):
        run_review(path, "mechanical_turk", tmp_path / "out", database="", fewest_seconds=5, quiet=True)
    with pytest.raises(DataError, match="no results of a batch"):
        turk.reviewed(tmp_path / "model-a.jsonl", 5)


def test_a_batch_is_released_and_names_nobody(tmp_path: Path) -> None:
    answers = [str(path) for path in write_answers(tmp_path, 20, p1=TRICKY)]
    pairs, _ = pairs_of(read_models(answers))
    rows = turk.batch_rows(pairs, [p for p in read_known() if p.kind == ATTENTION])
    path, out = results(tmp_path, rows, columns_of(rows[0])), tmp_path / "release"
    run_release(path, out, fewest_seconds=5, num_raters=3, title="A batch", licence="cc-by-4.0", quiet=True)
    text = "".join(file.read_text() for file in out.iterdir())
    planted = [*WORKERS, *(rater_of(worker)[2:] for worker in WORKERS), "A1-3", "H3"]
    assert [word for word in planted if word in text] == []
    rated = [json.loads(line) for line in (out / "ratings.jsonl").read_text().splitlines()]
    texts = {pair.prompt_id: (pair.asked, pair.text_a, pair.text_b) for pair in pairs}
    assert all((row["prompt"], row["response_a"], row["response_b"]) == texts[row["id"]] for row in rated)
    wins = Counter((row["rater"], row["rating"]) for row in rated)
    assert sorted(wins.values(), reverse=True)[:2] == [20, 20] and sum(wins.values()) in (40, 60)
    assert {row["first"] for row in rated} == {"a", "b"}
    with pytest.raises(DataError, match=r"no results of a batch of `epigone crowd`"):
        batch_ratings(results(tmp_path, rows, [n for n in columns_of(rows[0]) if n != "WorkerId"]), 5, 3)


def test_a_study_for_prolific(tmp_path: Path) -> None:
    offer = wanted(tmp_path, 37, platform="prolific", most=20, url="https://rate.test/join/hall", completion_code="C1")
    found = run_crowd(offer, tmp_path / "out", dry_run=False, quiet=True)
    study = json.loads((tmp_path / "out" / "study.json").read_text())
    assert study["external_study_url"] == "https://rate.test/join/hall?PROLIFIC_PID={{%PROLIFIC_PID%}}"
    assert (found["num_ratings"], study["total_available_places"], study["reward"]) == (123, 7, 500)
    ranges = {f["filter_id"]: f.get("selected_range") for f in study["filters"]}
    assert ranges["approval_rate"]["lower"] == 95 and ranges["approval_numbers"]["lower"] == 100
    with pytest.raises(SpecError, match="--url"):
        run_crowd(wanted(tmp_path, 3, platform="prolific"), tmp_path / "no", dry_run=False, quiet=True)


def test_submissions_of_prolific_are_looked_through(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 8, num_raters=9, attention_every=2, repeat_every=0, with_practice=False)

    def came(participant: str, num_votes: int, right: bool = True) -> None:
        database = campaign.database
        who = raters.identity(database, code="hall", open_code="hall", platform_id=participant, nonce="")
        rater, count = raters.join(database, who, "teaching", 0.0), 0
        while count < num_votes and isinstance(seat := seat_for(campaign, rater, 0.0), Seat):
            pair = campaign.pairs[seat.pair_id]
            verdict = (pair.expected if right else {"a": "b", "b": "a"}[pair.expected]) if pair.expected else "a"
            vote(database, rater, seat.ticket, Ballot(verdict), 1.0)
            count += 1

    came("PIDgood", 99)
    came("PIDhalf", 5)
    came("PIDmissed", 99, right=False)
    came("PIDquick", 99)
    campaign.database.close()
    export = tmp_path / "export.csv"
    statuses = {"PIDgood": "600", "PIDhalf": "600", "PIDmissed": "600", "PIDquick": "20", "PIDnothing": "600"}
    lines = [f"s-{pid},{pid},AWAITING REVIEW,{taken}" for pid, taken in statuses.items()]
    lines = ["Submission id,Participant id,Status,Time taken", *lines, "s-x,PIDgone,RETURNED,"]
    export.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    where = {"database": str(tmp_path / "rating.db"), "fewest_seconds": 5.0}
    found = run_review(export, "prolific", out, **where, quiet=True)
    assert (out / "approve.txt").read_text() == "PIDgood\n"
    rejected = {row["Participant id"]: (row["Category"], row["Reason"]) for _, row in read_table(out / "reject.csv")}
    assert rejected == {
        "PIDmissed": ("FAILED_CHECK", "4 of 4 attention checks answered wrongly."),
        "PIDnothing": ("NO_DATA", "No rating arrived."),
    }
    looked = {row["Participant id"]: row["Reason"] for _, row in read_table(out / "look.csv")}
    assert looked == {
        "PIDhalf": "3 of 8 comparisons",
        "PIDquick": "2.5 seconds a comparison; not enough to read both responses",
    }
    assert found["counts"]["status RETURNED: left alone"] == 1 and not any("PID" in word for word in found["counts"])
    export.write_text("Name,Status\nx,APPROVED\n")
    with pytest.raises(DataError, match="Participant id"):
        run_review(export, "prolific", tmp_path / "no", **where, quiet=True)

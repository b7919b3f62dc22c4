"""What leaves a rating: judgments, an anonymous release; and that nobody can be recognised in it.

One rating with planted identifiers is run through the pages themselves; everything that leaves is searched for them.
"""

import asyncio
import csv
import json
import re
import sqlite3
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import httpx2
import pytest

from epigone.commands.rate import Sources, Wanted, run_export, run_release
from epigone.errors import DataError, SpecError, WorkError
from epigone.metrics.preference import win_or_tie_rate
from epigone.rating import koala
from epigone.rating.app import RatingApp
from epigone.rating.overview import ALL, overview
from epigone.rating.ratings import RaterFacts, Rating, Ratings, ratings_of
from epigone.rating.release import released
from epigone.rating.seats import Ballot, seat_for, vote
from epigone.recordings.judgments.koala_eval import KoalaEval
from epigone.recordings.load import read_judgments
from epigone.records import Drop, Judgment
from epigone.spec import Input
from epigone.stages.rate import Rate
from epigone.store import decode
from rating_cases import OPEN_CODE, Forms, made_campaign, people

PEOPLE = {"5f3c0123456789abcdefd00d": "medicine and health", "60aa0123456789abcdefbeef": "teaching",
          "A2WORKERIDOFSOMEONE": "teaching"}  # fmt: skip
WRITTEN = ("Jane Q. Public", "jane@mail.test", "+1 555 010 9999")


async def browsed(app, platform_id: str, domain: str) -> None:
    """One person, by the pages' own forms, who writes a name into the box."""
    there = {"transport": httpx2.ASGITransport(app), "base_url": "http://rate.test"}
    async with httpx2.AsyncClient(**there, follow_redirects=True) as client:
        page = (await client.get(f"/join/{OPEN_CODE}", params={"PROLIFIC_PID": platform_id})).text
        fields = Forms(page).forms["/join"] | {"domain": domain, "consent": "yes"}
        page = (await client.post("/join", data=fields)).text
        for count in range(60):
            forms = Forms(page).forms
            if "/rate" not in forms:
                assert "Thank you" in page
                return
            reason = f"I am {', '.join(WRITTEN)}"
            said = {"verdict": "AB"[count % 2], "reason": reason, "strength": "clearly", "marks": "A0"}
            page = (await client.post("/rate", data=forms["/rate"] | said)).text
    raise AssertionError("never over")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished rating of five comparisons by three people, as a database file."""
    folder = tmp_path_factory.mktemp("rated")
    campaign = made_campaign(folder, 5, attention_every=3, repeat_every=4)
    app = RatingApp(campaign, OPEN_CODE).app()
    for platform_id, domain in PEOPLE.items():
        asyncio.run(browsed(app, platform_id, domain))
    campaign.database.close()
    return folder


def wanted(folder: Path) -> Wanted:
    return Wanted(Sources([]), str(folder / "rating.db"))


def identifiers(folder: Path) -> list[str]:
    """Everything that was planted, and everything by which the database knows a person."""
    with sqlite3.connect(folder / "rating.db") as connection:
        queries = (
            "select id from raters",
            "select joined_by from raters",
            "select ticket from seats where ticket is not null",
            "select value from meta where name in ('salt', 'secret')",
        )
        ids = [value for query in queries for (value,) in connection.execute(query)]
        assert connection.execute("select count(*) from seats where reason like '%Jane%'").fetchone()[0] > 20
    return [*PEOPLE, *WRITTEN, OPEN_CODE, *ids]


def found_in(path: Path, planted: list[str]) -> list[tuple[str, str]]:
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    assert files
    return [(file.name, text) for file in files for text in planted if text.encode() in file.read_bytes()]


def test_votes_become_judgments_and_nobody_is_in_them(folder: Path, tmp_path: Path) -> None:
    told = run_export(wanted(folder), tmp_path, name="five", without_flagged=False, prolific=None, quiet=True)
    artifact = Path(str(told["artifact"]))
    recorded = read_judgments(artifact)
    assert recorded.format == "ours" and len(recorded.rows) == 15 and recorded.drops == ()
    assert {(j.a, j.b, j.panel, j.is_person, j.simulated) for j in recorded.rows} == {
        ("amber-7b", "basalt-7b", "people", True, False)
    }
    assert Counter(j.prompt_id for j in recorded.rows) == {f"p{n}": 3 for n in range(5)}
    assert len({j.rater for j in recorded.rows}) == 3
    assert all(re.fullmatch(r"rater-[0-9a-f]{12}", j.rater) and j.seconds is not None for j in recorded.rows)
    assert all(j.share_a == (1.0 if j.verdict == "a" else 0.0) for j in recorded.rows), "clearly"
    assert found_in(tmp_path, identifiers(folder)) == []
    summary = json.loads((artifact / "summary.json").read_text())
    assert (summary["num_asked"], summary["num_kept"], summary["num_raters"]) == (15, 15, 3)
    again = run_export(wanted(folder), tmp_path, name="five", without_flagged=False, prolific=None, quiet=True)
    assert again == told, "the same votes are the same artifact"


def test_a_release_names_nobody_and_is_read_back(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "release"
    run_release(wanted(folder), out, name="Five comparisons", licence="cc-by-4.0", prolific=None, quiet=True)
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "prompts.jsonl", "raters.jsonl", "ratings.jsonl"]
    planted = identifiers(folder)
    assert found_in(out, planted) == []
    assert found_in(folder, planted), "the search finds what is there"
    back = read_judgments(out / "ratings.jsonl")
    assert back.format == "koala_eval" and len(back.rows) == 15
    exported = run_export(wanted(folder), tmp_path, name="x", without_flagged=False, prolific=None, quiet=True)
    first = read_judgments(Path(str(exported["artifact"])))
    told = [(j.prompt_id, j.a, j.b, j.verdict, j.first, j.seconds) for j in back.rows]
    assert told == [(j.prompt_id, j.a, j.b, j.verdict, j.first, j.seconds) for j in first.rows]
    assert {j.rater for j in back.rows} == {"r001", "r002", "r003"}
    assert [p.id for p in koala.read_prompts(out / "prompts.jsonl")] == [f"p{n}" for n in range(5)]
    raters = [json.loads(line) for line in (out / "raters.jsonl").read_text().splitlines()]
    assert Counter(r["domain"] for r in raters) == {"teaching": 2, "medicine and health": 1}
    card = (out / "README.md").read_text()
    assert card.startswith('---\nlicense: "cc-by-4.0"\n') and "15 ratings of 5 comparisons by 3 raters" in card
    with pytest.raises(SpecError, match="is there already"):
        run_release(wanted(folder), out, name="x", licence="mit", prolific=None, quiet=True)
    with pytest.raises(SpecError, match="licence"):
        run_release(wanted(folder), tmp_path / "r", name="x", licence="", prolific=None, quiet=True)


def test_who_withdrew_is_left_out(folder: Path, tmp_path: Path) -> None:
    export, (one, two, _) = tmp_path / "prolific_export.csv", PEOPLE
    with export.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Submission id", "Participant id", "Status", "Time taken"])
        writer.writerows([["s1", one, "RETURNED", ""], ["s2", two, "APPROVED", "300"]])
    told = run_export(
        wanted(folder), tmp_path / "runs", name="left", without_flagged=False, prolific=export, quiet=True
    )
    rows = read_judgments(Path(str(told["artifact"]))).rows
    assert len(rows) == 10 and len({j.rater for j in rows}) == 2
    assert found_in(tmp_path / "runs", identifiers(folder)) == []


def test_two_databases_call_one_person_by_two_names(tmp_path: Path) -> None:
    names = []
    for place in ("one", "two"):
        campaign = made_campaign(tmp_path / place, 2, with_practice=False, attention_every=0, repeat_every=0)
        (rater,) = people(campaign, 1)
        seat = seat_for(campaign, rater, 0.0)
        vote(campaign.database, rater, seat.ticket, Ballot("a"), 1.0)
        names += [rating.judgment.rater for rating in ratings_of(campaign).ratings]
    assert len(set(names)) == 2


def rated(verdicts: dict[str, str], *, missed: dict[str, int] | None = None) -> Ratings:
    """One pair of models, a letter a prompt and rater: `a`, `b` or `t`."""
    words = {"a": "a", "b": "b", "t": "tie"}
    ratings = []
    for rater, letters in verdicts.items():
        domain = "law, business and finance" if rater == "r1" else "teaching"
        for n, letter in enumerate(letters):
            told = {"panel": "people", "is_person": True, "seconds": 10.0 + n}
            ratings.append(Rating(Judgment(f"p{n}", "x", "y", words[letter], rater, "a", **told), domain))
    facts = [
        RaterFacts(rater, "teaching", len(letters), 4, 4 - (missed or {}).get(rater, 0), 0, 0, 0)
        for rater, letters in verdicts.items()
    ]
    return Ratings(tuple(ratings), tuple(facts), num_pairs=4, num_asked=12, num_masked=2)


def test_the_overview_by_hand() -> None:
    seen = overview(rated({"r1": "aaba", "r2": "aabb", "r3": "atb"}, missed={"r2": 1, "r3": 2}))
    assert (seen.num_given, seen.num_pairs_complete, seen.coverage) == (11, 3, pytest.approx(11 / 12))
    assert seen.median_seconds == 11.0
    assert seen.agreement and seen.agreement.raw.value == pytest.approx((3 + 1 + 3 + 0) / 11), (
        "a unit's weight is its verdicts"
    )
    assert {line.facts.rater: line.flag for line in seen.raters} == {
        "r1": "",
        "r2": "",
        "r3": "missed attention checks",
    }
    rates = {line.domain: line for line in seen.rates}
    assert (rates[ALL].preference.wins, rates[ALL].preference.ties, rates[ALL].preference.losses) == (2, 1, 1)
    assert rates["law, business and finance"].num_raters == 1 and rates["teaching"].num_raters == 2
    assert rates["law, business and finance"].preference == win_or_tie_rate(
        [Judgment(f"p{n}", "x", "y", v, "r1", "a") for n, v in enumerate("aaba")], "x"
    )
    nothing = overview(Ratings((), (), 4, 12, 0))
    assert nothing.agreement is None and nothing.median_seconds is None and nothing.rates == ()


def test_the_stage_leaves_out_flagged_raters_and_asks_for_coverage(tmp_path: Path) -> None:
    source = tmp_path / "ratings.json"
    found = rated({"r1": "aaba", "r2": "aabb", "r3": "atb"}, missed={"r3": 2})
    source.write_text(json.dumps(asdict(found)))
    assert decode(Ratings, json.loads(source.read_text())) == found
    stage = Rate(Input(str(source)), "x vs y", leave_out_flagged=True)
    counts = stage.run(lambda _: source, tmp_path / "out")
    assert (counts["num_rows"], counts["num_kept"], counts["num_dropped"], counts["num_flagged"]) == (11, 8, 3, 1)
    dropped = [json.loads(line) for line in (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()]
    assert dropped[0]["detail"] == "missed attention checks: 2 of 4 attention checks answered wrongly"
    with pytest.raises(WorkError, match="8 of 12 ratings are there, at least 90% are needed"):
        replace(stage, minimum_coverage=0.9).run(lambda _: source, tmp_path / "more")
    with pytest.raises(SpecError, match="nobody has rated"):
        released(Ratings((), (), 0, 0, 0), [], title="t", licence="mit")


def test_koala_prompts_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id": "koala_0", "prompt": "Why?"}\n{"id": "koala_1", "prompt": "How?\\nSo."}\n')
    prompts = koala.read_prompts(path)
    assert koala.prompt_rows(prompts) == [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text('{"id": "k", "prompt": "x"}\n{"id": "k", "prompt": "y"}\n')
    with pytest.raises(DataError, match="row 2: id 'k' comes twice"):
        koala.read_prompts(path)


def test_the_published_koala_prompts(data_root: Path) -> None:
    path = data_root / "koala" / "koala_test_set.jsonl"
    prompts = koala.read_prompts(path)
    assert len(prompts) == 180
    assert koala.prompt_rows(prompts) == [json.loads(line) for line in path.read_text().splitlines()]


def test_koala_ratings_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    row = {"id": "k", "prompt": "p", "model_a": "x", "model_b": "y", "rating": "a", "rater": "r001"}
    rows = [
        row,
        row | {"rating": "A"},
        row | {"model_b": ""},
        row | {"rating": ["a"]},
        row | {"first": "b", "seconds": 3},
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = list(KoalaEval().read(path))
    assert [each.reason if isinstance(each, Drop) else each.verdict for each in found] == [
        "a", "no verdict", "no ids", "no verdict", "a"]  # fmt: skip
    assert isinstance(found[0], Judgment) and (found[0].first, found[0].seconds) == ("unknown", None)
    assert isinstance(found[4], Judgment) and (found[4].first, found[4].seconds) == ("b", 3.0)

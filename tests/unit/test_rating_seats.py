"""Who rates what: leases, votes that are sent twice or taken back, and that a comparison gets the raters asked for."""

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epigone.commands.rating_sources import read_models
from epigone.errors import DataError, SpecError
from epigone.rating import raters
from epigone.rating.campaign import Campaign, add_codes, found, founded
from epigone.rating.database import opened
from epigone.rating.pairs import ATTENTION, COMPARISON, PRACTICE, REPEAT, pairs_of, read_known
from epigone.rating.ratings import seat_rows
from epigone.rating.rules import Rules, next_kind
from epigone.rating.seats import Ballot, Rest, Seat, done_by, last_ticket, seat_for, vote, withdraw
from postgres_cluster import cluster, made_database
from rating_cases import made_campaign, people, write_answers

PLAIN = {"attention_every": 0, "repeat_every": 0, "with_practice": False}


def rows(folder: Path, query: str) -> list[tuple]:
    with sqlite3.connect(folder / "rating.db") as connection:
        return connection.execute(query).fetchall()


def votes(folder: Path) -> list[tuple[str, str]]:
    """(pair, rater) of every vote on a comparison, as the file holds them."""
    return rows(folder, "select pair_id, rater_id from seats where kind = 'comparison' and voted_at is not null")


def rate_all(campaign: Campaign, rater_id: str, now: float = 0.0, verdict: str = "a") -> int:
    count = 0
    while isinstance(seat := seat_for(campaign, rater_id, now), Seat):
        assert vote(campaign.database, rater_id, seat.ticket, Ballot(verdict), now) == "counted"
        count += 1
    return count


def test_every_comparison_gets_exactly_three_different_raters(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 5, **PLAIN)
    counts = [rate_all(campaign, rater) for rater in people(campaign, 5)]
    assert counts == [5, 5, 5, 0, 0]
    assert Counter(pair for pair, _ in votes(tmp_path)) == {pair.id: 3 for pair in campaign.comparisons}
    assert len(set(votes(tmp_path))) == 15


def test_ratings_are_spread_evenly(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 10, **PLAIN)
    for step, rater in enumerate(people(campaign, 5) * 5):
        seat = seat_for(campaign, rater, float(step))
        assert isinstance(seat, Seat)
        vote(campaign.database, rater, seat.ticket, Ballot("tie"), float(step))
        given_to = Counter(pair for pair, _ in votes(tmp_path))
        counts = [given_to[pair.id] for pair in campaign.comparisons]
        assert max(counts) - min(counts) <= 2, "a rater who has had the neediest takes the next"


def test_a_lease_that_is_over_goes_to_someone_else_and_the_late_vote_is_not_counted(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 1, num_raters=1, lease_minutes=10, **PLAIN)
    slow, quick = people(campaign, 2)
    seat = seat_for(campaign, slow, 0.0)
    assert seat_for(campaign, quick, 599.0) == Rest(is_over=False)
    taken = seat_for(campaign, quick, 601.0)
    assert isinstance(seat, Seat) and isinstance(taken, Seat) and taken.pair_id == seat.pair_id
    assert vote(campaign.database, slow, seat.ticket, Ballot("a"), 602.0) == "gone"
    assert vote(campaign.database, quick, taken.ticket, Ballot("b"), 603.0) == "counted"
    assert rows(tmp_path, "select rater_id, verdict from seats") == [(quick, "b")]


def test_a_late_vote_counts_where_nobody_else_took_the_seat(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 1, num_raters=1, lease_minutes=10, **PLAIN)
    (slow,) = people(campaign, 1)
    seat = seat_for(campaign, slow, 0.0)
    assert isinstance(seat, Seat)
    assert vote(campaign.database, slow, seat.ticket, Ballot("a"), 9_999.0) == "counted"


def test_looking_again_keeps_the_seat_and_renews_the_lease(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 4, num_raters=1, lease_minutes=10, **PLAIN)
    one, two = people(campaign, 2)
    seat = seat_for(campaign, one, 0.0)
    assert [seat_for(campaign, one, now) for now in (10.0, 500.0, 1000.0)] == [seat] * 3
    others = {seat_for(campaign, two, 1500.0).pair_id for _ in range(3)}
    assert seat.pair_id not in others


def test_a_vote_sent_twice_is_one_vote_and_the_first_stands(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 2, **PLAIN)
    (rater,) = people(campaign, 1)
    seat = seat_for(campaign, rater, 0.0)
    said = [vote(campaign.database, rater, seat.ticket, Ballot(v), 1.0) for v in ("a", "a", "b")]
    assert said == ["counted", "already", "already"]
    assert rows(tmp_path, "select verdict from seats where verdict is not null") == [("a",)]
    assert vote(campaign.database, "another", seat.ticket, Ballot("b"), 1.0) == "gone"


def test_a_vote_taken_back_is_voted_on_again(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 3, **PLAIN)
    (rater,) = people(campaign, 1)
    first = seat_for(campaign, rater, 0.0)
    vote(campaign.database, rater, first.ticket, Ballot("a", "clearly", "because", ("a0",), 3.0), 1.0)
    second = seat_for(campaign, rater, 2.0)
    assert withdraw(campaign, rater, first.ticket, 3.0)
    assert not withdraw(campaign, rater, first.ticket, 3.0), "sent twice"
    again = seat_for(campaign, rater, 4.0)
    assert (again.pair_id, again.first) == (first.pair_id, first.first) and again.ticket != first.ticket
    assert vote(campaign.database, rater, first.ticket, Ballot("b"), 4.0) == "withdrawn"
    assert vote(campaign.database, rater, again.ticket, Ballot("b"), 5.0) == "counted"
    assert seat_for(campaign, rater, 6.0) == second
    assert rows(tmp_path, "select verdict, strength, reason from seats where verdict is not null") == [("b", "", "")]
    assert rows(tmp_path, "select ticket, verdict from withdrawn") == [(first.ticket, "a")]
    with campaign.database.reading() as connection:
        assert last_ticket(connection, rater) == again.ticket


def test_only_the_last_vote_is_taken_back(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 3, **PLAIN)
    (rater,) = people(campaign, 1)
    tickets = []
    for now in (1.0, 2.0):
        tickets.append(seat_for(campaign, rater, now).ticket)
        vote(campaign.database, rater, tickets[-1], Ballot("a"), now)
    assert not withdraw(campaign, rater, tickets[0], 3.0)
    assert withdraw(campaign, rater, tickets[1], 3.0)


def test_checks_and_repeats_come_in_between(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 12, attention_every=4, repeat_every=6)
    (rater,) = people(campaign, 1)
    kinds, firsts = [], {}
    while isinstance(seat := seat_for(campaign, rater, float(len(kinds))), Seat):
        kinds.append(seat.kind)
        if seat.kind == REPEAT:
            assert firsts[seat.pair_id] != seat.first, "a repeat shows the other one first"
        firsts.setdefault(seat.pair_id, seat.first)
        vote(campaign.database, rater, seat.ticket, Ballot("a"), float(len(kinds)))
    assert kinds[:3] == [PRACTICE] * 3
    assert Counter(kinds) == {PRACTICE: 3, COMPARISON: 12, ATTENTION: 3, REPEAT: 2}
    assert kinds.index(ATTENTION) == 3 + 2 and kinds.index(REPEAT) == 3 + 3 + 1


def test_what_comes_next_by_hand() -> None:
    there, rules = {PRACTICE: 2, ATTENTION: 1, COMPARISON: 99}, Rules(attention_every=2, repeat_every=0)
    assert next_kind({}, there, rules) == next_kind({PRACTICE: 1}, there, rules) == PRACTICE
    assert next_kind({PRACTICE: 2}, there, rules) == COMPARISON
    assert next_kind({PRACTICE: 2, COMPARISON: 1}, there, rules) == ATTENTION
    assert next_kind({PRACTICE: 2, COMPARISON: 50, ATTENTION: 1}, there, rules) == COMPARISON, "there is only one"
    assert (
        next_kind({COMPARISON: 50}, there, Rules(with_practice=False, attention_every=0, repeat_every=0)) == COMPARISON
    )


def test_a_rater_gets_no_more_than_most(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 9, most_per_rater=4, **PLAIN)
    assert [rate_all(campaign, rater) for rater in people(campaign, 7)] == [4, 4, 4, 4, 4, 4, 3]


def test_sides_are_random_by_rater(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 40, num_raters=5, **PLAIN)
    for rater in people(campaign, 5):
        rate_all(campaign, rater)
    firsts = rows(tmp_path, "select pair_id, first from seats")
    share = sum(first == "a" for _, first in firsts) / len(firsts)
    assert 0.38 < share < 0.62  # 200 coins: 3.4 standard deviations
    mixed = [len({f for p, f in firsts if p == pair.id}) for pair in campaign.comparisons]
    assert sum(n == 2 for n in mixed) > 25, "not one order a comparison"


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_whatever_happens_the_rules_hold(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Raters look, vote, vote again, take back and go away, in any order, while leases run out."""
    folder = tmp_path_factory.mktemp("any")
    campaign = made_campaign(folder, 4, num_raters=2, lease_minutes=1, attention_every=3, repeat_every=3)
    rng, now, acknowledged, held = random.Random(seed), 0.0, {}, {}
    everyone = people(campaign, 4)
    for _ in range(120):
        now += rng.choice([0.1, 5.0, 40.0])
        rater = rng.choice(everyone)
        step = rng.choice(["look", "vote", "vote", "again", "back"])
        if step == "look" and isinstance(seat := seat_for(campaign, rater, now), Seat):
            held[rater] = seat.ticket
        elif step == "vote" and rater in held:
            if vote(campaign.database, rater, held[rater], Ballot("b"), now) == "counted":
                acknowledged[held[rater]] = rater
        elif step == "again" and acknowledged:
            ticket = rng.choice(sorted(acknowledged))
            assert vote(campaign.database, acknowledged[ticket], ticket, Ballot("a"), now) == "already"
        elif step == "back":
            with campaign.database.reading() as connection:
                last = last_ticket(connection, rater)
            if last and withdraw(campaign, rater, last, now):
                del acknowledged[last]
    stored = rows(folder, "select ticket, rater_id, verdict from seats where voted_at is not null")
    assert {ticket: rater for ticket, rater, _ in stored} == acknowledged
    assert {verdict for *_, verdict in stored} <= {"b"}
    given_to = votes(folder)
    assert len(set(given_to)) == len(given_to)
    assert max(Counter(pair for pair, _ in given_to).values(), default=0) <= 2
    campaign.database.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with cluster() as url:
        yield url


@pytest.mark.parametrize("on", ["sqlite", "postgresql"])
def test_many_at_once(tmp_path: Path, request: pytest.FixtureRequest, on: str) -> None:
    """Threads as the server has them, each rater in two windows; PostgreSQL runs their transactions side by side."""
    where = "" if on == "sqlite" else made_database(request.getfixturevalue("postgres"), "many")
    campaign = made_campaign(tmp_path, 8, database=where, **PLAIN)
    failed: list[BaseException] = []

    def rate(rater: str) -> None:
        try:
            for _ in range(30):
                if isinstance(seat := seat_for(campaign, rater, 0.0), Seat):
                    assert vote(campaign.database, rater, seat.ticket, Ballot("a"), 0.0) in ("counted", "already")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=rate, args=(rater,)) for rater in people(campaign, 6) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    given_to = [(row["pair_id"], row["rater_id"]) for row in seat_rows(campaign.database)]
    assert Counter(pair for pair, _ in given_to) == {pair.id: 3 for pair in campaign.comparisons}
    assert len(set(given_to)) == 24
    campaign.database.close()


def test_the_database_refuses_what_no_code_should_do(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 2, **PLAIN)
    (rater,) = people(campaign, 1)
    seat = seat_for(campaign, rater, 0.0)
    with sqlite3.connect(tmp_path / "rating.db") as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(f"update seats set rater_id = '{rater}' where pair_id = '{seat.pair_id}'")
    with sqlite3.connect(tmp_path / "rating.db") as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            f"insert into seats (pair_id, kind, number, place) values ('{seat.pair_id}', 'comparison', 0, 0)"
        )


def test_a_rating_is_found_again_and_another_one_is_refused(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 3, num_raters=2)
    answers = read_models([str(path) for path in write_answers(tmp_path / "more", 4)])
    assert found(opened(str(tmp_path / "rating.db"))).pairs == campaign.pairs
    assert made_campaign(tmp_path, 3, num_raters=2).rules == campaign.rules
    assert len(rows(tmp_path, "select 1 from seats")) == 6
    with pytest.raises(SpecError, match="rating of other answers or with other options"):
        founded(campaign.database, pairs_of(answers)[0], read_known(), campaign.rules)
    with pytest.raises(SpecError, match="other options"):
        made_campaign(tmp_path, 3, num_raters=3)
    with pytest.raises(SpecError, match="holds no rating yet"):
        found(opened(str(tmp_path / "empty.db")))


def test_codes_join_the_same_rater_again(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 2)
    codes = add_codes(campaign.database, 3)
    assert add_codes(campaign.database, 3) == add_codes(campaign.database, 0) == codes and len(set(codes)) == 3

    def identity(**more: str) -> str:
        return raters.identity(
            campaign.database, **{"code": "", "open_code": "hall", "platform_id": "", "nonce": "1"} | more
        )

    assert identity(code="nobody's") == identity() == ""
    one = identity(code=codes[0])
    assert one and one == identity(code=codes[0], nonce="2") and codes[0] not in one
    assert identity(code="hall", platform_id="PID1") == identity(code="hall", platform_id="PID1", nonce="9")
    assert identity(code="hall", nonce="1") != identity(code="hall", nonce="2")
    assert identity(code="hall", open_code="") == ""
    ids = [raters.join(campaign.database, one, domain, 0.0) for domain in ("teaching", "law, business and finance")]
    assert ids[0] == ids[1]


def test_pairs_are_matched_by_text_and_what_cannot_be_compared_is_dropped(tmp_path: Path) -> None:
    paths = write_answers(tmp_path, 4, p1=" ")
    text = paths[1].read_text().splitlines()
    paths[1].write_text("\n".join(line.replace('"p0"', '"other-0"') for line in text[:3]) + "\n")
    pairs, drops = pairs_of(read_models([f"one={paths[0]}", f"two={paths[1]}"]))
    assert [(p.prompt_id, p.a, p.b) for p in pairs] == [("p0", "one", "two"), ("p2", "one", "two")]
    assert [drop.reason for drop in drops] == ["empty answer", "answered by one alone"]
    paths[1].write_text(text[0].replace("bread", "nothing like it").replace('"p0"', '"x"') + "\n")
    with pytest.raises(DataError, match="answered no prompt both"):
        pairs_of(read_models([str(path) for path in paths]))


@pytest.mark.parametrize(
    ("option", "value"), [("num_raters", 0), ("most_per_rater", -1), ("lease_minutes", 0), ("attention_every", -2)]
)
def test_rules_that_cannot_be(option: str, value: int) -> None:
    with pytest.raises(SpecError, match=option):
        Rules(**{option: value})


def test_known_answers_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "known.jsonl"
    path.write_text('{"kind": "trap", "prompt": "p", "a": "x", "b": "y", "expected": "a"}\n')
    with pytest.raises(DataError, match=r"row 1: kind is 'trap'; allowed: practice, attention"):
        read_known(path)


def test_counts_of_what_is_done(tmp_path: Path) -> None:
    campaign = made_campaign(tmp_path, 3)
    (rater,) = people(campaign, 1)
    rate_all(campaign, rater)
    with campaign.database.reading() as connection:
        assert done_by(connection, rater) == {PRACTICE: 3, COMPARISON: 3}

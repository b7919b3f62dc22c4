"""Many raters while the server is killed again and again: every acknowledged vote is there once, nobody rates twice.

The clients follow the pages' own forms and send a request again, the same, until it is answered. The database is read
here by plain SQL, not by the application. On SQLite, and on a PostgreSQL that the test starts itself.
"""

import asyncio
import json
import secrets
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
import sqlalchemy

from epigone.rating.app import RatingApp
from epigone.rating.security import signed
from epigone.records import Judgment
from epigone.store import read_records
from postgres_cluster import cluster, made_database
from rating_cases import KEY, OPEN_CODE, Rater, Server, asked, made_campaign, people, write_answers

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with cluster() as url:
        yield url


def rows_of(where: str, query: str) -> list[tuple]:
    url = where.replace("postgresql://", "postgresql+psycopg://") if "://" in where else f"sqlite:///{where}"
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(sqlalchemy.text(query))]
    engine.dispose()
    return found


def check(where: str, clients: list[Rater], num_pairs: int) -> None:
    """Every acknowledged vote is there once, as it was given; a comparison has three raters, all different."""
    seats = rows_of(where, "select ticket, verdict, first, kind, pair_id, rater_id, voted_at from seats")
    stored = {ticket: (verdict, first) for ticket, verdict, first, _, _, _, voted_at in seats if voted_at is not None}
    taken_back = {ticket for (ticket,) in rows_of(where, "select ticket from withdrawn")}
    assert len(stored) == sum(voted_at is not None for *_, voted_at in seats)
    assert not stored.keys() & taken_back
    acknowledged = {ticket: choice for client in clients for ticket, choice in client.acknowledged.items()}
    unsure = {ticket for client in clients for ticket in client.unsure}
    assert len(acknowledged) == sum(len(client.acknowledged) for client in clients) > num_pairs
    for ticket, choice in acknowledged.items():
        if ticket in taken_back:
            assert ticket in unsure, "taken back, and nobody asked for it"
            continue
        verdict, first = stored[ticket]
        assert verdict == {"A": first, "B": "b" if first == "a" else "a", "equal": "tie"}[choice]
    per_pair = Counter((pair, rater) for _, _, _, kind, pair, rater, at in seats if kind == "comparison" and at)
    assert set(per_pair.values()) == {1}, "one rater twice"
    assert Counter(pair for pair, _ in per_pair) == {pair: 3 for pair, _ in per_pair}
    assert len({pair for pair, _ in per_pair}) == num_pairs


async def browsed(server: Server, rater: int, num_votes: int) -> Rater:
    """A real browser that votes by the page's own buttons; a page that does not come is asked for again."""
    from playwright.async_api import async_playwright

    seen = Rater(server.address, rater)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        await gone_to(page, f"{server.address}/join/{OPEN_CODE}")
        while not page.url.endswith("/rate"):
            await joined(page, f"{server.address}/join/{OPEN_CODE}")
        while len(seen.acknowledged) < num_votes:
            ballot = await page.query_selector("#ballot")
            if ballot and not await voted(page, seen):
                await gone_to(page, f"{server.address}/rate")  # counted or not: if not, the same seat comes again
            elif not ballot and "Thank you" in await page.content():
                break
            elif not ballot:
                await asyncio.sleep(0.2)
                await gone_to(page, f"{server.address}/rate")
        await browser.close()
    return seen


async def gone_to(page, address: str) -> None:
    from playwright.async_api import Error

    for _ in range(200):
        try:
            await page.goto(address)
            return
        except Error:
            await asyncio.sleep(0.2)


async def joined(page, address: str) -> None:
    from playwright.async_api import Error

    try:
        await page.select_option("#domain", "teaching", timeout=2000)
        await page.check("input[name=consent]", timeout=2000)
        async with page.expect_navigation(timeout=5000):
            await page.click("button")
    except Error:
        await gone_to(page, address)


async def voted(page, seen: Rater) -> bool:
    """Whether the vote was acknowledged, by a page that came after it."""
    from playwright.async_api import Error

    ticket = await page.get_attribute("#ballot input[name=ticket]", "value")
    choice = ("A", "B", "equal")[(seen.seed + len(seen.acknowledged)) % 3]
    try:
        await page.check(f"input[name=verdict][value={choice}]")
        async with page.expect_navigation(timeout=20_000):
            await page.click(".choice button")
        came = await page.query_selector("h1")
    except Error:
        return False
    if came is None or not page.url.startswith(f"{seen.address}/rate") or "note=" in page.url:
        return False
    seen.acknowledged[str(ticket)] = choice
    return True


async def rated(server: Server, num_clients: int, num_browsers: int, num_kills: int, seconds: float) -> list[Rater]:
    """All raters to the end, while the server is killed and started again at its address."""
    clients = [Rater(server.address, seed) for seed in range(num_clients)]

    async def one(client: Rater) -> None:
        async with httpx2.AsyncClient() as session:
            await client.run(session)

    async def killing() -> None:
        for _ in range(num_kills):
            await asyncio.sleep(seconds)
            server.kill()
            await asyncio.to_thread(server.start)

    browsers = [browsed(server, number, 12) for number in range(num_browsers)]
    found = await asyncio.gather(*browsers, killing(), *map(one, clients))
    return clients + [seen for seen in found if isinstance(seen, Rater)]


def run(folder: Path, where: str, *, num_pairs: int, clients: int, browsers: int, kills: int, seconds: float) -> None:
    server = Server(write_answers(folder, num_pairs), where, ("--lease-minutes", "0.5", "--repeat-every", "7"))
    server.start()
    try:
        found = asyncio.run(rated(server, clients, browsers, kills, seconds))
        check(where, found, num_pairs)
        with httpx2.Client() as client:
            assert client.post(f"{server.address}/dashboard", data={"key": KEY}).status_code == 303
            assert (
                f"{3 * num_pairs} of {3 * num_pairs} ratings (100 %)" in client.get(f"{server.address}/dashboard").text
            )
    finally:
        assert server.stop() in (0, -signal.SIGTERM)
    exported(where, folder / "runs", num_pairs)


def exported(where: str, root: Path, num_pairs: int) -> None:
    """Every vote is one judgment of the artifact, as `epigone rate --export` is typed."""
    command = [sys.executable, "-m", "epigone", "rate", "--database", where, "--export", "--root", str(root), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = read_records(Path(json.loads(done.stdout)["artifact"]) / "records.jsonl", Judgment)
    assert len(found) == 3 * num_pairs == len({(j.prompt_id, j.rater) for j in found})
    stored = rows_of(where, "select verdict, count(*) from seats where kind = 'comparison' group by verdict")
    assert Counter(j.verdict for j in found) == dict(stored)


def test_eight_raters_and_two_kills(tmp_path: Path) -> None:
    run(tmp_path, str(tmp_path / "r.db"), num_pairs=12, clients=8, browsers=0, kills=2, seconds=0.4)


@pytest.mark.slow
def test_eight_raters_and_two_kills_on_postgresql(tmp_path: Path, postgres: str) -> None:
    where = made_database(postgres, "short")
    run(tmp_path, where, num_pairs=12, clients=8, browsers=0, kills=2, seconds=0.4)


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud7ff\U0010ffff", "x" * 3000, "'; drop table seats"])
def test_odd_addresses_on_postgresql(tmp_path: Path, postgres: str, text: str) -> None:
    """PostgreSQL refuses NUL in texts, which SQLite takes: nothing of an address gets that far."""
    where = made_database(postgres, f"odd{secrets.token_hex(4)}")
    campaign = made_campaign(tmp_path, 2, database=where)
    app, (rater,) = RatingApp(campaign, OPEN_CODE).app(), people(campaign, 1)
    secret = campaign.database.secret
    cookies = {"rater": signed(secret, "rater", rater)}
    odd = {"after": text, "note": text}
    assert asked(app, "GET", "/rate", params=odd, cookies=cookies).status_code == 200
    assert asked(app, "GET", f"/join/{quote(text)}").status_code == 404
    assert asked(app, "GET", f"/join/{OPEN_CODE}", params={"PROLIFIC_PID": text}).status_code == 200
    assert asked(app, "GET", f"/join/{OPEN_CODE}", cookies={"joining": quote(text)}).status_code == 200
    fields = {"form": signed(secret, "form", rater), "ticket": text, "verdict": "A", "reason": text}
    assert asked(app, "POST", "/rate", data=fields, cookies=cookies).headers["location"] == "/rate?note=gone"
    assert asked(app, "POST", "/undo", data=fields, cookies=cookies).status_code == 303
    campaign.database.close()


@pytest.mark.slow
@pytest.mark.parametrize("on", ["sqlite", "postgresql"])
def test_sixty_raters_and_five_kills(tmp_path: Path, request: pytest.FixtureRequest, on: str) -> None:
    pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH to rate with")
    where = str(tmp_path / "r.db") if on == "sqlite" else made_database(request.getfixturevalue("postgres"), "long")
    run(tmp_path, where, num_pairs=300, clients=57, browsers=3, kills=5, seconds=3)

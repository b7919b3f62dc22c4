"""A rating server in a process of its own, made-up answers for it, and clients that follow the forms of its pages."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import httpx2
from starlette.types import ASGIApp

from epigone.commands.rating_sources import read_models
from epigone.rating import raters
from epigone.rating.campaign import Campaign, founded
from epigone.rating.database import opened
from epigone.rating.pairs import pairs_of, read_known
from epigone.rating.rules import Rules

KEY, OPEN_CODE = "a-long-key", "open-house"
TOPICS = ("bread", "bridges", "chess", "clouds", "gardens", "honey", "maps", "rivers", "sleep", "stars")


def write_answers(folder: Path, num_prompts: int, **more: str) -> tuple[Path, Path]:
    """Made-up answers of two models; `more` gives the text of single prompts of the first one, by id."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "model-a.jsonl", folder / "model-b.jsonl"
    for name, path in zip(("amber-7b", "basalt-7b"), paths):
        rows = []
        for number in range(num_prompts):
            topic, prompt_id = TOPICS[number % len(TOPICS)], f"p{number}"
            text = f"{name[0].upper()} on {topic}, number {number}. It has **two** sentences."
            if name == "amber-7b":
                text = more.get(prompt_id, text)
            asked = [{"role": "user", "content": f"Tell me something about {topic} ({number})."}]
            row = {"prompt_id": prompt_id, "messages": asked, "text": text, "finish_reason": "stop", "model": name}
            rows.append(json.dumps(row))
        path.write_text("\n".join(rows) + "\n")
    return paths


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@dataclass
class Server:
    """`epigone rate` at one address, however often it is killed and started again."""

    answers: tuple[Path, ...]
    database: str
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> list[str]:
        """Start it, wait until it answers; what it told."""
        command = [sys.executable, "-m", "epigone", "rate", *map(str, self.answers), "--database", self.database]
        environment = os.environ | {"EPIGONE_RATE_KEY": KEY, "EPIGONE_RATE_CODE": OPEN_CODE}
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), *self.options], stderr=subprocess.PIPE, text=True, env=environment
        )
        told, line = [], ""
        while not line.startswith("rating at"):
            line = self.process.stderr.readline()
            told.append(line.strip())
            assert line or self.process.poll() is None, told
        for _ in range(200):
            try:
                if httpx2.get(f"{self.address}/health", timeout=5).text == "ok":
                    return told
            except httpx2.HTTPError:
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """As a power cut does it."""
        self.process.kill()
        self.process.wait(30)
        self.process.stderr.close()

    def stop(self) -> int:
        """As an operator does it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process.stderr.close()
        return code


class Forms(HTMLParser):
    """The forms of a page as a browser would send them: the fields with values, the choices there are, the texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self.choices: dict[str, list[str]] = {}
        self._form = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._form = given["action"] or ""
            self.forms.setdefault(self._form, {})
        name, value = given.get("name"), given.get("value") or ""
        if tag == "input" and name and self._form:
            if given.get("type") in ("radio", "checkbox"):
                self.choices.setdefault(name, []).append(value)
            else:
                self.forms[self._form][name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""


@dataclass
class Rater:
    """Rates by HTTP as a browser without scripts does, and notes what was acknowledged: ticket -> place chosen."""

    address: str
    seed: int
    undo_share: float = 0.05
    acknowledged: dict[str, str] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    """Taken back by a form that was not answered: it may have been done or not."""
    is_over: bool = False
    code: str = OPEN_CODE
    query: str = ""

    async def run(self, client: httpx2.AsyncClient) -> None:
        """Until there is nothing left. Each request is sent again, the same, until it is answered."""
        rng = random.Random(self.seed)
        page = await self.join(client)
        while not self.is_over:
            forms = Forms(page)
            if "/rate" not in forms.forms:
                self.is_over = "Thank you" in page
                page = page if self.is_over else (await self.get(client, "/rate"))
            elif "/undo" in forms.forms and rng.random() < self.undo_share:
                page = await self.take_back(client, forms.forms["/undo"])
            else:
                page = await self.vote(client, forms.forms["/rate"], rng.choice(["A", "B", "equal"]))

    async def join(self, client: httpx2.AsyncClient) -> str:
        page = await self.get(client, f"/join/{self.code}{self.query}")
        fields = Forms(page).forms["/join"] | {"domain": "teaching", "consent": "yes"}
        await self.post(client, "/join", fields)
        return await self.get(client, "/rate")

    async def vote(self, client: httpx2.AsyncClient, fields: dict[str, str], choice: str) -> str:
        where = await self.post(client, "/rate", fields | {"verdict": choice, "read_seconds": "1.5"})
        if "note=" not in where:
            self.acknowledged[fields["ticket"]] = choice
        return await self.get(client, where)

    async def take_back(self, client: httpx2.AsyncClient, fields: dict[str, str]) -> str:
        self.unsure.add(fields["ticket"])
        await self.post(client, "/undo", fields)
        return await self.get(client, "/rate")

    async def get(self, client: httpx2.AsyncClient, path: str) -> str:
        return (await self._sent(client, "GET", path)).text

    async def post(self, client: httpx2.AsyncClient, path: str, fields: dict[str, str]) -> str:
        response = await self._sent(client, "POST", path, data=fields, headers={"origin": self.address})
        assert response.status_code == 303, (response.status_code, response.text[-400:])
        return response.headers["location"]

    async def _sent(self, client: httpx2.AsyncClient, method: str, path: str, **more: object) -> httpx2.Response:
        for _ in range(400):
            try:
                response = await client.request(method, self.address + path, timeout=60, **more)
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
                continue
            assert response.status_code < 500, response.text[-400:]
            return response
        raise AssertionError(f"{method} {path} was never answered")


def made_campaign(folder: Path, num_prompts: int = 6, *, database: str = "", **rules: object) -> Campaign:
    """A campaign of made-up answers, here and not behind a server."""
    answers = read_models([str(path) for path in write_answers(folder, num_prompts)])
    pairs, _ = pairs_of(answers)
    opened_one = opened(database or str(folder / "rating.db"))
    return founded(opened_one, pairs, read_known(), Rules(**rules))


def people(campaign: Campaign, num_raters: int) -> list[str]:
    """Raters who have joined."""
    return [raters.join(campaign.database, f"someone {n}", "teaching", 0.0) for n in range(num_raters)]


def asked(
    app: ASGIApp, method: str, path: str, *, cookies: dict[str, str] | None = None, **more: object
) -> httpx2.Response:
    """One request to an application in this process."""

    async def ask() -> httpx2.Response:
        there = {"transport": httpx2.ASGITransport(app), "base_url": "http://rate.test", "cookies": cookies}
        async with httpx2.AsyncClient(**there) as client:
            return await client.request(method, path, **more)

    return asyncio.run(ask())

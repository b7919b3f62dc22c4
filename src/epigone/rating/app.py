"""The application that raters use: join, read, compare, take the last answer back, finish.

In: a campaign, the open code, the researcher's key. Out: an ASGI application. A vote is answered with a redirect once
it is on the disk; the same form sent again is answered likewise and changes nothing.
Source: arXiv 2305.15717, Figure 7.
"""

import math
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import and_, select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from epigone.rating import pages, raters, seats
from epigone.rating.campaign import Campaign
from epigone.rating.dashboard import Dashboard
from epigone.rating.database import SEATS
from epigone.rating.pairs import COMPARISON, PRACTICE
from epigone.rating.rules import DOMAINS
from epigone.rating.seats import OTHER, Ballot, Rest
from epigone.rating.security import Headers, form_of, is_same, one, set_cookie, signed, value_of, without_nul

STRENGTHS = ("a little", "clearly")
MOST_REASON = 2000
COOKIE, JOINING = "rater", "joining"
Fields = Mapping[str, list[str]]
NOTES = {
    "withdrawn": "That answer had been taken back; it was not counted again.",
    "gone": "Your time for that comparison was over and it went to someone else, so that answer was not counted.",
    "choose": "Please choose A, B or equal first.",
}


@dataclass(frozen=True)
class RatingApp:
    """A campaign on the web. `open_code` empty: personal codes alone; `key` empty: no dashboard."""

    campaign: Campaign
    open_code: str = ""
    key: str = ""
    clock: Callable[[], float] = time.time

    def app(self) -> ASGIApp:
        """The application."""
        routes = [
            Route("/", self._welcome),
            Route("/health", _health),
            Route("/join", self._to_join),
            Route("/join/{code}", self._consent),
            Route("/join", self._join, methods=["POST"]),
            Route("/rate", self._rate),
            Route("/rate", self._vote, methods=["POST"]),
            Route("/undo", self._undo, methods=["POST"]),
            *Dashboard(self.campaign, self.key).routes(),
            Mount("/static", StaticFiles(directory=Path(__file__).with_name("static"))),
        ]
        errors = {HTTPException: _refused, 500: _failed}
        return Headers(Starlette(routes=routes, exception_handlers=errors))  # outermost: its errors have headers too

    async def _welcome(self, request: Request) -> Response:
        return HTMLResponse(pages.render("welcome", note=""))

    async def _to_join(self, request: Request) -> Response:
        return RedirectResponse(f"/join/{quote(request.query_params.get('code', '').strip(), safe='')}", 303)

    async def _consent(self, request: Request) -> Response:
        """What people read before they begin. Nobody joins by opening it: some programs open every link."""
        code = request.path_params["code"]
        platform_id = next((v for name in raters.PLATFORM_IDS if (v := request.query_params.get(name, ""))), "")
        nonce = request.cookies.get(JOINING, "") or secrets.token_urlsafe(18)
        who = await run_in_threadpool(self._identity, code, platform_id, nonce)
        if not who:
            return HTMLResponse(pages.render("welcome", note="There is no such code."), 404)
        if await run_in_threadpool(self._goes_on, request, who, code, platform_id):
            return RedirectResponse("/rate", 303)
        fields = {"code": code, "platform_id": platform_id, "nonce": nonce, "domains": DOMAINS}
        told = {"consent": pages.consent(self.campaign.rules), "instructions": pages.instructions(self.campaign.rules)}
        response = HTMLResponse(pages.render("consent", **fields, **told, num_all=self.campaign.share_of()))
        set_cookie(response, request, JOINING, nonce, days=1)
        return response

    async def _join(self, request: Request) -> Response:
        fields = await form_of(request)
        nonce = one(fields, "nonce")
        if not nonce or not is_same(nonce, request.cookies.get(JOINING, "")):
            raise HTTPException(403, "This form is too old. Open your link again; cookies must be allowed.")
        if one(fields, "consent") != "yes" or one(fields, "domain") not in DOMAINS:
            raise HTTPException(400, "Please go back, choose a field and say that you agree.")
        who = await run_in_threadpool(self._identity, one(fields, "code"), one(fields, "platform_id"), nonce)
        if not who:
            raise HTTPException(403, "There is no such code.")
        database = self.campaign.database
        rater_id = await run_in_threadpool(raters.join, database, who, one(fields, "domain"), self.clock())
        response = RedirectResponse("/rate", 303)
        set_cookie(response, request, COOKIE, signed(database.secret, COOKIE, rater_id))
        return response

    def _goes_on(self, request: Request, who: str, code: str, platform_id: str) -> bool:
        """Whether this browser is signed in as who the link is for; the open link alone is for whoever is."""
        rater_id = self._rater(request)
        is_for_anybody = is_same(code, self.open_code) and not platform_id
        return bool(rater_id) and (is_for_anybody or raters.known_as(self.campaign.database, who) == rater_id)

    def _identity(self, code: str, platform_id: str, nonce: str) -> str:
        given = {"code": code, "platform_id": platform_id, "nonce": nonce}
        told = {name: without_nul(value)[:64] for name, value in given.items()}
        return raters.identity(self.campaign.database, open_code=self.open_code, **told)

    async def _rate(self, request: Request) -> Response:
        rater_id = self._rater(request)
        if not rater_id:
            return RedirectResponse("/", 303)
        note, after = (
            NOTES.get(request.query_params.get("note", ""), ""),
            without_nul(request.query_params.get("after", "")),
        )
        return HTMLResponse(await run_in_threadpool(self._page, rater_id, note, after))

    async def _vote(self, request: Request) -> Response:
        rater_id, fields = await self._sent(request)
        where = await run_in_threadpool(self._count, rater_id, fields)
        return RedirectResponse(where, 303)

    async def _undo(self, request: Request) -> Response:
        rater_id, fields = await self._sent(request)
        ticket = one(fields, "ticket")
        await run_in_threadpool(seats.withdraw, self.campaign, rater_id, ticket, self.clock())
        return RedirectResponse("/rate", 303)

    def _rater(self, request: Request) -> str:
        return value_of(self.campaign.database.secret, COOKIE, request.cookies.get(COOKIE, ""))

    async def _sent(self, request: Request) -> tuple[str, Fields]:
        """The rater and the fields of a form that this application gave that rater. Raises HTTPException."""
        fields, rater_id = await form_of(request), self._rater(request)
        if not rater_id:
            raise HTTPException(403, "Nobody is signed in here. Open your link again; cookies must be allowed.")
        if value_of(self.campaign.database.secret, "form", one(fields, "form")) != rater_id:
            raise HTTPException(403, "This form is not yours. Open your link again.")
        return rater_id, fields

    def _page(self, rater_id: str, note: str, after: str) -> str:
        """The page that a rater gets next: a comparison, or why there is none."""
        database = self.campaign.database
        found = seats.seat_for(self.campaign, rater_id, self.clock())
        with database.reading() as connection:
            done, last = seats.done_by(connection, rater_id), seats.last_ticket(connection, rater_id)
            practised = seats.voted(connection, rater_id, after) if after else None
        told: dict[str, object] = {
            "num_done": done.get(COMPARISON, 0),
            "num_all": self.campaign.share_of(),
            "form": signed(database.secret, "form", rater_id),
            "last_ticket": last,
        }
        if isinstance(found, Rest):
            code = self.campaign.rules.completion_code if found.is_over else ""
            return pages.render("rest", is_over=found.is_over, completion_code=code, note=note, **told)
        told |= {"note": note or self._practice_note(practised), "strengths": STRENGTHS, "most_reason": MOST_REASON}
        pair = self.campaign.pairs[found.pair_id]
        shown: dict[str, object] = {"instructions": pages.instructions(self.campaign.rules)}
        return pages.rating_page(pair, found, **told, **shown)  # pyright: ignore[reportArgumentType]

    def _practice_note(self, practised: tuple[str, str] | None) -> str:
        """What to learn from a practice item that was just answered."""
        pair = self.campaign.pairs.get(practised[0]) if practised else None
        if pair is None or practised is None or pair.kind != PRACTICE:
            return ""
        opening = "That is how we see it, too." if practised[1] == pair.expected else "We see that one differently."
        return f"{opening} {pair.why}"

    def _count(self, rater_id: str, fields: Fields) -> str:
        """Count a vote; where to go then."""
        ticket = one(fields, "ticket")
        with self.campaign.database.reading() as connection:
            mine = and_(SEATS.c.ticket == ticket, SEATS.c.rater_id == rater_id)
            row = connection.execute(select(SEATS.c.first, SEATS.c.kind).where(mine)).first()
        ballot = ballot_of(fields, row.first) if row else Ballot("tie")  # of a seat that is lost, nothing is counted
        if ballot is None:
            return "/rate?note=choose"
        word = seats.vote(self.campaign.database, rater_id, ticket, ballot, self.clock())
        if word in NOTES:
            return f"/rate?note={word}"
        return f"/rate?after={quote(ticket)}" if row and row.kind == PRACTICE else "/rate"


def ballot_of(fields: Fields, first: str) -> Ballot | None:
    """What a form says, in terms of the sides a and b; None where nothing was chosen."""
    sides = {"A": first, "B": OTHER[first]}
    verdict = {**sides, "equal": "tie"}.get(one(fields, "verdict"))
    if verdict is None:
        return None
    strength = one(fields, "strength")
    marks = [re.fullmatch(r"([AB])(\d{1,2})", mark) for mark in fields.get("marks", [])]
    return Ballot(
        verdict=verdict,
        strength=strength if strength in STRENGTHS and verdict != "tie" else "",
        reason=one(fields, "reason").strip()[:MOST_REASON],
        marks=tuple(f"{sides[mark[1]]}{int(mark[2])}" for mark in marks if mark),
        read_seconds=_seconds(one(fields, "read_seconds")),
    )


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and 0 < seconds < 7 * 86_400 else None


async def _health(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "There is no such page." if error.status_code == 404 else error.detail
    return HTMLResponse(pages.render("refused", words=words), error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    words = "Something went wrong here. Your answers so far are kept; send this one again in a moment."
    return HTMLResponse(pages.render("refused", words=words), 500)

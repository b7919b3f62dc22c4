"""The researcher's page, behind a key: how far the rating has come and what it shows so far.

In: a campaign, the key. Out: routes. Without a key there is no dashboard.
"""

import asyncio
from dataclasses import dataclass, field

from markupsafe import Markup
from sqlalchemy import and_, func, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from epigone.rating import pages
from epigone.rating.campaign import Campaign
from epigone.rating.database import CODES, RATERS, SEATS, WITHDRAWN
from epigone.rating.overview import overview
from epigone.rating.pairs import COMPARISON
from epigone.rating.ratings import ratings_of
from epigone.rating.security import form_of, is_same, one, set_cookie, signed, value_of

COOKIE = "researcher"
WRONG_KEY_SECONDS = 1.0
NUM_REASONS = 50
"""The newest ones that are shown."""


@dataclass(frozen=True)
class Dashboard:
    """The page, and who may see it."""

    campaign: Campaign
    key: str
    wrong_key_seconds: float = WRONG_KEY_SECONDS
    """How long a wrong key is left waiting."""
    _kept: dict[tuple[int, int], str] = field(default_factory=dict)
    """The page of the newest state: counting anew costs more than a look at what has changed."""

    def routes(self) -> list[Route]:
        """Routes of the page and its door."""
        return [
            Route("/dashboard", self._show),
            Route("/dashboard", self._enter, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        self._check_there()
        secret = self.campaign.database.secret
        if value_of(secret, f"key:{self.key}", request.cookies.get(COOKIE, "")) != "yes":
            return HTMLResponse(pages.render("door", note=""), 401)
        return HTMLResponse(await run_in_threadpool(self._page))

    async def _enter(self, request: Request) -> Response:
        self._check_there()
        fields = await form_of(request)
        if not is_same(one(fields, "key"), self.key):
            await asyncio.sleep(self.wrong_key_seconds)
            return HTMLResponse(pages.render("door", note="That is not the key."), 403)
        response = RedirectResponse("/dashboard", 303)
        set_cookie(response, request, COOKIE, signed(self.campaign.database.secret, f"key:{self.key}", "yes"), days=1)
        return response

    def _check_there(self) -> None:
        if not self.key:
            raise HTTPException(404, "There is no dashboard: the server was started without a key for it.")

    def _page(self) -> str:
        with self.campaign.database.reading() as connection:
            given = select(func.count()).select_from(SEATS).where(SEATS.c.voted_at.is_not(None))
            num_given = connection.execute(given).scalar_one()
            num_withdrawn = connection.execute(select(func.count()).select_from(WITHDRAWN)).scalar_one()
            is_open = and_(SEATS.c.kind == COMPARISON, SEATS.c.voted_at.is_(None), SEATS.c.rater_id.is_not(None))
            num_open = connection.execute(select(func.count()).select_from(SEATS).where(is_open)).scalar_one()
            num_raters = connection.execute(select(func.count()).select_from(RATERS)).scalar_one()
            wrote = and_(SEATS.c.voted_at.is_not(None), SEATS.c.reason != "")
            words = select(SEATS.c.pair_id, SEATS.c.rater_id, SEATS.c.reason).where(wrote)
            reasons = connection.execute(words.order_by(SEATS.c.voted_at.desc()).limit(NUM_REASONS)).all()
            codes = list(connection.execute(select(CODES.c.code).order_by(CODES.c.code)).scalars())
        state = (num_given, num_withdrawn)
        if state not in self._kept:
            self._kept.clear()
            self._kept[state] = pages.render("facts", found=overview(ratings_of(self.campaign)))
        told: dict[str, object] = {"num_open": num_open, "num_raters": num_raters, "codes": codes}
        told["reasons"] = [
            (self.campaign.database.name_of(row.rater_id), self.campaign.pairs[row.pair_id].asked, row.reason)
            for row in reasons
        ]
        return pages.render("dashboard", facts=Markup(self._kept[state]), **told)

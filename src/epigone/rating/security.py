"""What keeps strangers out and pages harmless: signed cookies, form tokens, response headers, forms of limited size.

In: requests. Out: names that were signed here, fields of forms, headers. No page loads anything from elsewhere, is
shown inside another one, or runs a script that stands in it.
Source: https://cheatsheetseries.owasp.org (cross-site request forgery, content security policy).
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES, MOST_FIELDS = 64 * 2**10, 300
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def signed(secret: bytes, what: str, value: str) -> str:
    """`value.SIGNATURE`, good for one use, `what`, alone."""
    return f"{value}.{_signature(secret, what, value)}"


def value_of(secret: bytes, what: str, text: str) -> str:
    """What was signed; empty where the signature is not ours."""
    value, _, signature = text.rpartition(".")
    wanted = _signature(secret, what, value)
    return value if hmac.compare_digest(signature.encode(), wanted.encode()) else ""


def _signature(secret: bytes, what: str, value: str) -> str:
    return hmac.new(secret, f"{what}\n{value}".encode(), hashlib.sha256).hexdigest()


def is_same(given: str, wanted: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())


async def form_of(request: Request) -> dict[str, list[str]]:
    """Every value by its field's name. Raises HTTPException for what is too long, no form, or sent by another site."""
    origin = request.headers.get("origin", "")
    if origin and origin != "null" and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise HTTPException(403, "This form was sent from another site.")
    if origin == "null" or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This form was sent from another site.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "This is longer than a form may be.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise HTTPException(400, "This is not a form.") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(without_nul(value))
    return fields


def without_nul(text: str) -> str:
    """Text that every database takes: PostgreSQL refuses NUL."""
    return text.replace("\x00", "")


def one(fields: Mapping[str, list[str]], name: str) -> str:
    """A field's only value; empty where it is missing or comes several times."""
    values = fields.get(name, [])
    return values[0] if len(values) == 1 else ""


def set_cookie(response: Response, request: Request, name: str, value: str, *, days: int = 30) -> None:
    """Not readable by scripts, not sent along from other sites' forms, over HTTPS alone where the page came so."""
    response.set_cookie(
        name,
        value,
        max_age=days * 86_400,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


class Headers:
    """Adds `HEADERS` to every response, errors too; pages are not kept by any cache."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)

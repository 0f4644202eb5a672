"""Authenticate requests and check their origin: credentials (RFC 6750), origins (WHATWG Fetch)."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from hookcast.auth import NOBODY, Action, Caller
from hookcast.errors import AccessError, JobNotFound, OriginNotAllowed, Unauthorized
from hookcast.routes.requests import header
from hookcast.routes.services import services
from hookcast.settings import Settings
from hookcast.urls import is_loopback

REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key", "Idempotency-Retry", "If-None-Match", "Last-Event-ID"),
    "X-Request-Id",
)
RESPONSE_HEADERS = ("ETag", "Location", "Retry-After", "X-Request-Id")
WEBHOOK_PATH = "/api/webhooks/fal"
_EXPOSED = (b"access-control-expose-headers", ", ".join(RESPONSE_HEADERS).encode())
_VARY = (b"vary", b"Origin")
_MORE = re.compile(rb"[&;%+]")
LOOPBACK_PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


async def caller_of(connection: HTTPConnection, *, in_url: bool = False) -> Caller:
    """Return the caller of a request; `in_url` says whether `?token=` counts.

    Raises Unauthorized, TokenInvalid, TokenExpired, KeysUnavailable.
    """
    node = services(connection)
    caller = await node.engine.gate.admit(credential_of(connection, in_url=in_url))
    if caller is NOBODY:
        hint = " `?token=` counts for streams and for reading one job only." if _token_in(connection) else ""
        raise Unauthorized(f"Send an API key or a token: `Authorization: Bearer ...`, or `?token=` for a stream.{hint}")
    return caller


async def authorize(connection: HTTPConnection, action: Action) -> Caller:
    """Return the caller if it may perform the action, and from this origin. Raises AccessError."""
    check_origin(connection)
    caller = await caller_of(connection)
    caller.check(action)
    return caller


def credential_of(connection: HTTPConnection, *, in_url: bool) -> str | None:
    """Return the request's credential, or None; `in_url` says whether `?token=` counts.

    EventSource and WebSocket in browsers can only send `?token=`. Elsewhere it does not count, since URLs end up in
    logs and histories. Raises Unauthorized if the Authorization header has another scheme than Bearer.
    """
    given = header(connection, b"authorization")
    if given is None:
        return _token_in(connection) if in_url else None
    scheme, _, credential = given.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("The Authorization header must be `Bearer` and an API key or a token.")
    return credential.strip()


def _token_in(connection: HTTPConnection) -> str | None:
    query: bytes = connection.scope["query_string"]
    if query.startswith(b"token=") and not _MORE.search(query):  # nearly always
        return query.removeprefix(b"token=").decode("latin-1")
    return connection.query_params.get("token")


def check_origin(connection: HTTPConnection) -> None:
    """Raise OriginNotAllowed if the request comes from a page of an origin that is not allowed.

    CORS keeps such a page from reading a response, but not from opening a WebSocket or sending a simple POST. Clients
    other than browsers send no Origin.
    """
    settings, origin = services(connection).settings, header(connection, b"origin")
    if origin is not None and not _allowed(origin, header(connection, b"host") or "", settings):
        raise OriginNotAllowed(f"Pages of {origin} may not do this; add the origin to HOOKCAST_ALLOWED_ORIGINS.")


@contextmanager
def noting_refusals(connection: HTTPConnection, request_ids: Iterable[str], transport: str) -> Iterator[None]:
    """Note in the journals of these jobs why a client cannot watch them: a refusal in the block, or its origin.

    A page of an origin that is not allowed gets the response, but the browser keeps it from reading it.
    """
    engine = services(connection).engine
    try:
        check_origin(connection)
    except OriginNotAllowed as error:
        engine.note_refused(request_ids, transport, error.code, connection.headers["origin"])
    try:
        yield
    except (AccessError, JobNotFound) as error:
        engine.note_refused(request_ids, transport, error.code)
        raise


def _allowed(origin: str, host: str, settings: Settings) -> bool:
    if "*" in settings.origins or origin in settings.origins:
        return True
    page = _hostname(origin)
    if page is None:
        return False
    if settings.open and is_loopback(page):
        return True
    if settings.public_url is not None and page == _hostname(settings.public_url):
        return True
    # Not on an open server: an attacker's own hostname may resolve to it (DNS rebinding).
    return not settings.open and page == _hostname(f"//{host}")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class Cors(CORSMiddleware):
    """CORS for all paths but the webhook's, which no page calls: there it would cost a twentieth of the work."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the CORS headers, except to webhooks."""
        if scope["type"] == "http" and scope["path"] == WEBHOOK_PATH:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def cors(settings: Settings) -> list[Middleware]:
    """Return the middleware that lets pages of allowed origins read responses; no cookies, so no credentials."""
    return [
        Middleware(
            Cors,
            allow_origins=settings.origins,
            allow_origin_regex=LOOPBACK_PAGES if settings.open else None,
            allow_methods=("GET", "POST", "PUT", "DELETE"),
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )
    ]


def cors_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the CORS headers of a response that the middleware does not see: those that it would add."""
    if scope["path"] == WEBHOOK_PATH:
        return []
    if not any(name == b"origin" for name, _ in scope["headers"]):
        return [_VARY]
    connection = HTTPConnection(scope)
    settings, origin = services(connection).settings, connection.headers["origin"]
    if "*" in settings.origins:
        return [(b"access-control-allow-origin", b"*"), _EXPOSED, _VARY]
    if origin in settings.origins or (settings.open and re.fullmatch(LOOPBACK_PAGES, origin)):
        return [(b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED, _VARY]
    return [_EXPOSED, _VARY]

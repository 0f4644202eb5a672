"""Who sent a request, and from which page: credentials (RFC 6750), origins (WHATWG Fetch)."""

from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from hookcast.auth import NOBODY, Action, Caller
from hookcast.errors import OriginNotAllowed, Unauthorized
from hookcast.routes.services import Services
from hookcast.settings import Settings, is_loopback

REQUEST_HEADERS = ("Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID")
RESPONSE_HEADERS = ("ETag", "Location", "Retry-After")
WEBHOOK_PATH = "/api/webhooks/fal"
LOOPBACK_PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"


async def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks. Raises Unauthorized, TokenInvalid, TokenExpired, KeysUnavailable."""
    node: Services = connection.state.services
    caller = await node.engine.gate.admit(credential_of(connection))
    if caller is NOBODY:
        raise Unauthorized("Send an API key or a token: `Authorization: Bearer ...`, or `?token=` for a stream.")
    return caller


async def authorize(connection: HTTPConnection, action: Action) -> Caller:
    """The caller, if it may do this, and not by somebody else's page. Raises AccessError."""
    check_origin(connection)
    caller = await caller_of(connection)
    caller.check(action)
    return caller


def credential_of(connection: HTTPConnection) -> str | None:
    """The key or token of a request. An EventSource or a browser's WebSocket can only send it as `?token=`."""
    header = connection.headers.get("authorization")
    if header is None:
        return connection.query_params.get("token")
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("The Authorization header must be `Bearer` and an API key or a token.")
    return credential.strip()


def check_origin(connection: HTTPConnection) -> None:
    """Raise OriginNotAllowed when a page of a site that is not allowed asks.

    A browser says whose page it is, and asks before a page reads the answer, but not before a page opens a WebSocket or
    sends a simple POST. Programs send no Origin.
    """
    node: Services = connection.state.services
    origin = connection.headers.get("origin")
    if origin is not None and not _allowed(origin, connection.headers.get("host", ""), node.settings):
        raise OriginNotAllowed(f"Pages of {origin} may not do this; add the origin to HOOKCAST_ALLOWED_ORIGINS.")


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
    # An open server is found by name, too, when somebody points a name of theirs at it (DNS rebinding).
    return not settings.open and page == _hostname(f"//{host}")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


class Cors(CORSMiddleware):
    """Not for webhooks, which no page sends: there it would cost a twentieth of the work."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers."""
        if scope["type"] == "http" and scope["path"] == WEBHOOK_PATH:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def cors(settings: Settings) -> list[Middleware]:
    """Lets pages of the allowed origins read answers. No cookies are used, so no credentials are allowed."""
    return [
        Middleware(
            Cors,
            allow_origins=settings.origins,
            allow_origin_regex=LOOPBACK_PAGES if settings.open else None,
            allow_methods=("GET", "POST", "PUT"),
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )
    ]


def cors_lines(connection: HTTPConnection) -> bytes:
    """The same for a stream's head, which the middleware does not see."""
    node: Services = connection.state.services
    origin = connection.headers.get("origin")
    if origin is None:
        return b""
    if "*" in node.settings.origins:
        return b"access-control-allow-origin: *\r\n"
    page = _hostname(origin)
    if origin in node.settings.origins or (node.settings.open and page is not None and is_loopback(page)):
        return b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin.encode("latin-1")
    return b"vary: Origin\r\n"

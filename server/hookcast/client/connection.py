"""HTTP to one Hookcast server: adds the token, and raises unsuccessful responses as ClientError."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from hookcast.client.errors import (
    AccessRefused,
    ClientError,
    NotFound,
    Refused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from hookcast.client.token import Token, TokenSource
from hookcast.errors import SettingsError
from hookcast.outgoing import http_client, retry_after

JOBS = "/api/fal-jobs"
CONNECT_SECONDS = 5.0
MAX_RETRY_AFTER_SECONDS = 60.0
MAX_PROBLEM_BYTES = 256 * 1024
_RESERVED = frozenset({".", "events", "ws", "refused"})  # paths of other things


class Request(Struct, frozen=True, kw_only=True):
    """One request; `path` is relative to the server's URL. It fails after `silence` seconds without a byte."""

    method: str
    path: str
    params: Mapping[str, str | int] = {}
    headers: Mapping[str, str] = {}
    content: bytes | None = None
    silence: float


class _Problem(Struct):
    code: str = ""
    title: str = ""
    detail: str = ""


class Connection:
    """A connection pool to one server; close it after use. `timeout` is the limit, in seconds, of obtaining a token.

    Once it is closed, requests raise Refused with the code `closed`.
    """

    def __init__(
        self, url: str, *, token: Token, timeout: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = _address(url)
        self.token = TokenSource(token, seconds=timeout)
        try:
            # Each watch holds a connection.
            self._client = http_client(transport=transport, limits=httpx.Limits(max_connections=None))
        except SettingsError as error:
            raise Unreachable(str(error), code="environment") from error

    async def close(self) -> None:
        """Close every connection, including those in use."""
        await self._client.aclose()

    async def ask(self, request: Request) -> httpx.Response:
        """Send once, and return a successful response (2xx, 304) with its body read. Raises ClientError."""
        async with self.stream(request) as response:
            with _reached(self.url):
                await response.aread()
            return response

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[httpx.Response]:
        """Send once, and yield a successful response, body unread. Raises ClientError; reading, httpx.HTTPError."""
        response = await self._send(request)
        try:
            if response.status_code >= 300 and response.status_code != 304:
                await self._refuse(response)
            yield response
        finally:
            await response.aclose()

    async def _send(self, request: Request) -> httpx.Response:
        """Send, and retry once with a renewed token after a 401."""
        token = await self.token.current()
        response = await self._send_as(request, token)
        if response.status_code != 401:
            return response
        try:
            newer = await self.token.renewed(token)
        except BaseException:
            await response.aclose()
            raise
        if newer is None:
            return response
        await response.aclose()
        return await self._send_as(request, newer)

    def check_open(self) -> None:
        """Raise Refused if the pool is closed."""
        if self._client.is_closed:
            raise Refused("The client is closed: make the call inside its `async with`.", code="closed")

    async def _send_as(self, request: Request, token: str | None) -> httpx.Response:
        self.check_open()
        headers = dict(request.headers)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            built = self._client.build_request(
                request.method,
                self.url + request.path,
                params=dict(request.params) or None,
                headers=headers,
                content=request.content,
                timeout=httpx.Timeout(request.silence, connect=CONNECT_SECONDS),
            )
        except UnicodeEncodeError as error:
            raise Refused(f"The request is not Unicode text: {error}.", code="invalid_request") from None
        with _reached(self.url):
            return await self._client.send(built, stream=True)

    async def _refuse(self, response: httpx.Response) -> NoReturn:
        with _reached(self.url):
            problem = await _problem(response)
        raise error_of(response, problem, self.url)


class _reached:  # noqa: N801 - lower case, like contextlib's own context managers
    """Convert httpx errors to ClientError."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            raise Unreachable(
                f"No server answers at {self._url} ({_reason(error)}); is it running? `hookcast serve` starts it.",
                code="unreachable",
            ) from error
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
            raise Unreachable(f"{self._url} was silent for too long.", code="silent") from error
        if isinstance(error, (httpx.TransportError, httpx.DecodingError, OSError)):
            raise Unreachable(f"The connection to {self._url} broke: {_reason(error)}.", code="broken") from error


def error_of(response: httpx.Response, problem: "_Problem | None", url: str) -> ClientError:
    """Map an error response to its ClientError; `problem` is None when Hookcast did not send it."""
    status = response.status_code
    code, detail = (problem.code, problem.detail) if problem else ("", "")
    facts: dict[str, Any] = {"status": status, "detail": detail}
    if status in {429, 503} or (status in {502, 504} and problem is None) or code == "idempotency_in_flight":
        message = detail or f"{url} answered {status}: it, or a service it needs, is temporarily unavailable."
        return Unavailable(
            message,
            retry_after=retry_after(response.headers, MAX_RETRY_AFTER_SECONDS),
            code=code or "unavailable",
            **facts,
        )
    if status in {401, 403}:
        return AccessRefused(_access(status, problem, url), code=code or "not_hookcast", **facts)
    if problem is None:
        where = f" to {response.headers['location']}" if "location" in response.headers else ""
        return UnexpectedAnswer(f"{url} answered {status}{where}, not as Hookcast does; check `url`.", status=status)
    return (NotFound if code == "job_not_found" else Refused)(detail or problem.title, code=code, **facts)


def _access(status: int, problem: "_Problem | None", url: str) -> str:
    if problem is None:
        return (
            f"{url} answered {status}, not as Hookcast does; check `url`, and let a proxy, firewall or login in front "
            "pass /api/fal-jobs."
        )
    said = (problem.detail or problem.title).rstrip(".")
    return f"{said}: {'send a valid token or API key' if status == 401 else 'use another token'}."


async def _problem(response: httpx.Response) -> _Problem | None:
    """Parse an RFC 9457 problem; None when the body is not one of Hookcast's."""
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_PROBLEM_BYTES:
            return None
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return problem if problem.code else None


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _address(url: str) -> str:
    """Validate the server's URL. Raises ValueError unless it is http(s), without credentials, query and fragment."""
    try:
        parts, _ = urlsplit(url), httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise ValueError(f"url cannot be used: {error}") from None
    if parts.username is not None:  # httpx would send them instead of the token
        raise ValueError("url must not contain a user name or password")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("url must be an http:// or https:// URL without query and fragment")
    return url.rstrip("/")


def job_path(request_id: str) -> str:
    """Return the job's path. Raises Refused for an id that does not survive in a URL."""
    odd = any(part in request_id for part in ("..", "/", "\\")) or request_id in _RESERVED
    if odd or not 0 < len(request_id) <= 200 or not request_id.isprintable():
        raise Refused(f"{request_id[:50]!r} is not a valid requestId.", code="invalid_path")
    return f"{JOBS}/{quote(request_id, safe='')}"


def idempotency(key: str | None, *, again: bool) -> dict[str, str]:
    """Return the headers that make a submit happen once; `again` submits in spite of an unknown outcome.

    Raises Refused for a key that is no header.
    """
    if key is not None and not (key.isascii() and key.isprintable() and key.strip()):
        raise Refused("An idempotency key has 1 to 255 visible ASCII characters.", code="invalid_request")
    given = {"Idempotency-Key": key, "Idempotency-Retry": "yes" if again else None}
    return {name: value for name, value in given.items() if value is not None}


async def within(seconds: float, work: Awaitable[httpx.Response], url: str) -> httpx.Response:
    """Await `work` for at most `seconds`. Raises Unreachable on timeout."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Unreachable(f"{url} did not answer within {seconds:g} s.", code="silent") from None

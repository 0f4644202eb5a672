"""Requests to fal's queue: attempts until a deadline, and answers read up to a limit.

Source: fal's documentation, "Queue API". The table `RETRIED` lists which failures are retried.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum

import httpx
from msgspec import Struct

from hookcast.errors import FalRejected, FalUnreachable, UnusableResult
from hookcast.fal.answers import json_of
from hookcast.fal.lenient_json import read
from hookcast.fal.sentences import error_type_of, is_page, sentence
from hookcast.logs import get_logger
from hookcast.outgoing import retry_after

DEADLINE_SECONDS = 10.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024  # of anything but a result; a status may have a long log

Sleep = Callable[[float], Awaitable[None]]

_BYTES = ("image/", "video/", "audio/", "application/octet-stream")
_log = get_logger(__name__)


class Call(Enum):
    """A request to fal's queue. Only submit is not idempotent: fal may have accepted one that seemed to fail."""

    SUBMIT = "submit"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"


class Trouble(Enum):
    """The failure of one attempt."""

    NOT_SENT = "not sent"  # no connection: fal cannot have accepted it
    NO_ANSWER = "no answer"  # sent, then the connection broke or no answer came
    BUSY = "busy"  # 429
    GATEWAY = "gateway"  # 502, 503, 504 without a request id: it did not get past fal's gateway
    TAKEN = "taken"  # 502, 503, 504 with a request id


# An error may be the outcome of the job: the caller decides, and asks again.
_REPEATABLE = frozenset(Call) - {Call.RESULT}
RETRIED: Mapping[Trouble, frozenset[Call]] = {
    Trouble.NOT_SENT: _REPEATABLE,
    Trouble.NO_ANSWER: _REPEATABLE - {Call.SUBMIT},
    Trouble.BUSY: _REPEATABLE,
    Trouble.GATEWAY: _REPEATABLE,
    Trouble.TAKEN: _REPEATABLE - {Call.SUBMIT},
}


DEADLINES: Mapping[Call, float] = dict.fromkeys(Call, DEADLINE_SECONDS) | {Call.RESULT: 60.0}
"""Seconds for all attempts together; a result may be large."""


class Answer(Struct, frozen=True):
    """A successful answer."""

    status: int
    headers: httpx.Headers
    content: bytes


class TooLarge(Exception):
    """The answer exceeds the limit; `said` is the size it declares, if any."""

    def __init__(self, said: int | None) -> None:
        super().__init__()
        self.said = said


class Calls:
    """Sends requests with a client. `sleep`, `jitter` (0…1) and `deadlines` are injected for tests."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        deadlines: Mapping[Call, float] = DEADLINES,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._jitter = jitter
        self._deadlines = deadlines
        self._refused: set[int] = set()

    async def ask(
        self, call: Call, request: httpx.Request, limit: int = MAX_ANSWER_BYTES, *, strict: bool = False
    ) -> Answer:
        """Send the request, and retry as `RETRIED` allows, until the deadline.

        Raises FalRejected, FalUnreachable, and TooLarge when the body of a success has more than `limit` bytes; that of
        any answer if `strict`.
        """
        trouble, maybe_taken, line = "", True, _Line()
        request.extensions["trace"] = line
        try:
            async with asyncio.timeout(self._deadlines[call]):
                for pause in _pauses(self._jitter):
                    trouble, maybe_taken = "no answer came in time, so fal may have accepted it", True
                    try:
                        return self.settled(call, await self._answer(request, limit, strict=strict))
                    except PassingError as error:
                        trouble, maybe_taken = str(error), False
                        await self._sleep(max(error.retry_after, pause))
                    except (httpx.TransportError, httpx.DecodingError) as error:
                        trouble, maybe_taken = _transport_trouble(call, error), False
                        await self._sleep(pause)
        except TimeoutError:
            if line.connecting:
                trouble, maybe_taken = "no connection was made in time", False
        raise FalUnreachable(f"The {call.value} request to fal failed: {trouble}.", maybe_taken=maybe_taken)

    async def check(self, call: Call, response: httpx.Response) -> None:
        """Read the body of a failure and raise as `settled` does; leave a success unread."""
        if not response.is_success:
            async with asyncio.timeout(DEADLINE_SECONDS):
                self.settled(call, await _read(response, MAX_ANSWER_BYTES))

    def settled(self, call: Call, answer: Answer) -> Answer:
        """Return a successful answer; raise PassingError when it is retryable, else FalUnreachable or FalRejected."""
        code = answer.status
        if 200 <= code < 300:
            return answer
        trouble = _trouble(answer)
        if trouble is not None and call in RETRIED[trouble]:
            raise PassingError(f"it answered {code}", retry_after(answer.headers, DEADLINE_SECONDS))
        if trouble is not None and call is Call.SUBMIT:
            raise FalUnreachable(f"fal answered {code}, but may have accepted the {call.value} request.")
        rejected = _rejected(answer)
        if code in {401, 403} and code not in self._refused:
            self._refused.add(code)  # logged once: each job would log it again
            _log.warning("fal_refuses_the_key", fal_status=code, call=call.value, reason=str(rejected))
        raise rejected

    async def _answer(self, request: httpx.Request, limit: int, *, strict: bool) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            return await _read(response, limit, strict=strict)
        finally:
            await response.aclose()


class _Line:
    """Receives httpx's trace of a request; `connecting` is True from its first connection event to its first byte."""

    def __init__(self) -> None:
        self.connecting = False

    async def __call__(self, event: str, _info: object) -> None:
        self.connecting = event.startswith("connection.")


class PassingError(Exception):
    """A retryable answer."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


async def _read(response: httpx.Response, limit: int, *, strict: bool = False) -> Answer:
    """Read the whole answer; of a failure that is too large, unless `strict`, or cannot be decoded, only its head."""
    try:
        return Answer(response.status_code, response.headers, await _body(response, limit))
    except (TooLarge, httpx.DecodingError) as error:
        if response.is_success or (strict and isinstance(error, TooLarge)):
            raise
        return Answer(response.status_code, response.headers, b"")


async def _body(response: httpx.Response, limit: int) -> bytes:
    said = response.headers.get("content-length", "")
    size = int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None
    if size is not None and size > limit:
        raise TooLarge(size)
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit:
            raise TooLarge(None)  # of a packed body, `size` is another one
    return bytes(body)


def kind_of(answer: Answer) -> str:
    """Describe an unexpected body: its content type and size."""
    said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = said if said.isprintable() and 0 < len(said) <= 100 else "a body without a content type"
    return f"{kind}, {len(answer.content):,} bytes" if answer.content else "an empty body"


def _rejected(answer: Answer) -> FalRejected:
    body, text = json_of(answer.content), _text(answer)
    try:
        parsed = read(answer.content)
    except ValueError:
        parsed = text
    error_type = error_type_of(parsed) or error_type_of({"error_type": answer.headers.get("x-fal-error-type")})
    code, what = answer.status, "without giving a reason" if body is not None else f"with {kind_of(answer)}"
    reason = sentence(parsed, error_type, otherwise=f"fal answered {code} {what}.")
    return FalRejected(
        reason,
        fal_status=code,
        fal_body=body or text,
        error_type=error_type,
        maybe_taken=code >= 500 and code != 504 and "x-fal-request-id" in answer.headers,
    )


def _text(answer: Answer) -> str | None:
    """Return a body that is plain text, None for HTML and bytes."""
    try:
        text = answer.content.decode()
    except UnicodeDecodeError:
        return None
    kind = answer.headers.get("content-type", "").lower()
    return None if not text or is_page(text) or kind.startswith(_BYTES) else text[:1000]


def _pauses(jitter: Callable[[], float]) -> list[float]:
    """Return exponential pauses in seconds, with jitter over the upper half of each; the deadline ends them."""
    return [min(0.2 * 2**attempt, 5.0) * (0.5 + jitter() / 2) for attempt in range(12)]


def _trouble(answer: Answer) -> Trouble | None:
    code = answer.status
    if code == 429:
        return Trouble.BUSY
    if code not in {502, 503, 504}:
        return None
    if code == 504 and answer.headers.get("x-fal-request-timeout-type") == "user":
        return None  # the user's own start timeout expired: final
    return Trouble.TAKEN if "x-fal-request-id" in answer.headers else Trouble.GATEWAY


def _transport_trouble(call: Call, error: httpx.RequestError) -> str:
    not_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    trouble = Trouble.NOT_SENT if not_sent else Trouble.NO_ANSWER
    if call is Call.RESULT and isinstance(error, httpx.DecodingError):
        text = "The result is not JSON: it cannot be decoded as its Content-Encoding says."
        raise UnusableResult(text, fal_status=200) from error
    if call not in RETRIED[trouble]:
        raise FalUnreachable(
            f"The connection to fal broke, and fal may have accepted the {call.value} request: {error!r}."
        ) from error
    return repr(error)

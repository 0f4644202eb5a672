"""A client for fal's queue: submit, status, result, cancel, and the status stream.

Source: fal's documentation, "Queue API". The table `RETRIED` lists which failures are retried.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from enum import Enum
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, SSEError
from msgspec import Raw

from hookcast.errors import FalRejected, FalUnreachable
from hookcast.fal.addresses import addresses_of
from hookcast.fal.answers import CancelAnswer, Status, Submitted, Taken, json_or_none, progressed, raw_json, read
from hookcast.fal.errors import sentence
from hookcast.jobs import Job, Progressed

DEADLINE_SECONDS = 10.0
STREAM_SILENCE_SECONDS = 45.0  # fal sends a comment every 15 s

Sleep = Callable[[float], Awaitable[None]]


class Call(Enum):
    """A request to fal's queue. Only submit is not idempotent: fal may have accepted one that seemed to fail."""

    SUBMIT = "submit"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"


class Trouble(Enum):
    """How one attempt failed."""

    NOT_SENT = "not sent"  # no connection: fal cannot have accepted it
    NO_ANSWER = "no answer"  # sent, then the connection broke or no answer came
    BUSY = "busy"  # 429
    GATEWAY = "gateway"  # 502, 503, 504 without a request id: it did not get past fal's gateway
    TAKEN = "taken"  # 502, 503, 504 with a request id


RETRIED: Mapping[Trouble, frozenset[Call]] = {
    Trouble.NOT_SENT: frozenset(Call),
    Trouble.NO_ANSWER: frozenset(Call) - {Call.SUBMIT},
    Trouble.BUSY: frozenset(Call),
    Trouble.GATEWAY: frozenset(Call),
    Trouble.TAKEN: frozenset(Call) - {Call.SUBMIT},
}


DEADLINES: Mapping[Call, float] = dict.fromkeys(Call, DEADLINE_SECONDS) | {Call.RESULT: 60.0}
"""Seconds for all attempts together; a result may be large."""


class FalQueue:
    """A client of the queue at `base_url`, with one key.

    `sleep`, `jitter` (0…1) and `deadlines` are injected for tests.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        key: str,
        *,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        deadlines: Mapping[Call, float] = DEADLINES,
    ) -> None:
        self._client = client
        self._base = base_url
        self._headers = {"Authorization": f"Key {key}", "Accept": "application/json"}
        self._sleep = sleep
        self._jitter = jitter
        self._deadlines = deadlines

    async def submit(
        self,
        endpoint_id: str,
        model_input: Raw,
        *,
        webhook_url: str | None,
        headers: Mapping[str, str],
    ) -> Submitted:
        """Submit one request; `headers` are fal's own request headers.

        Raises FalRejected or FalUnreachable; after the latter fal may still have accepted the request.
        """
        url = f"{self._base}/{quote(endpoint_id)}"
        if webhook_url is not None:
            url += f"?fal_webhook={quote(webhook_url, safe='')}"
        request = self._client.build_request(
            "POST",
            url,
            content=bytes(model_input),
            headers={**self._headers, **headers, "Content-Type": "application/json"},
        )
        response = await self._ask(Call.SUBMIT, request)
        return read(response.content, Taken).submitted()

    async def status(self, job: Job) -> Progressed:
        """Return the job's progress; fal's COMPLETED becomes phase `saving`. Raises FalRejected and FalUnreachable."""
        response = await self._ask(Call.STATUS, self._get(addresses_of(job, self._base).status))
        return progressed(read(response.content, Status))

    async def result(self, job: Job) -> Raw:
        """Return the result of a completed job, byte for byte.

        Raises FalRejected with the model's own error when the job failed, FalUnreachable when fal is unavailable.
        """
        response = await self._ask(Call.RESULT, self._get(addresses_of(job, self._base).result))
        return raw_json(response.content)

    async def cancel(self, job: Job) -> CancelAnswer:
        """Cancel the job at fal.

        Raises FalRejected when fal's answer is none of the four it documents, FalUnreachable when fal is unavailable.
        """
        request = self._client.build_request("PUT", addresses_of(job, self._base).cancel, headers=self._headers)
        try:
            response = await self._ask(Call.CANCEL, request)
        except FalRejected as error:
            answer = {400: CancelAnswer.ALREADY_COMPLETED, 404: CancelAnswer.NOT_FOUND}.get(error.fal_status)
            if answer is None:
                raise
            return answer
        return CancelAnswer.REMOVED if response.status_code == 200 else CancelAnswer.REQUESTED

    @asynccontextmanager
    async def follow(self, job: Job) -> AsyncIterator[AsyncIterator[Progressed]]:
        """Open the status stream and yield an iterator over its reports, which ends when fal closes the stream.

        Raises FalRejected (the job does not exist, or is not ours) and FalUnreachable, also while iterating.
        """
        url = addresses_of(job, self._base).stream
        timeout = httpx.Timeout(DEADLINE_SECONDS, read=STREAM_SILENCE_SECONDS)
        headers = {**self._headers, "Accept": "text/event-stream", "Cache-Control": "no-store"}
        try:
            async with self._client.stream("GET", url, headers=headers, timeout=timeout) as response:
                if response.status_code >= 300:
                    async with asyncio.timeout(DEADLINE_SECONDS):
                        await response.aread()
                    _settle(Call.STATUS, response)
                async with aclosing(_reports(EventSource(response))) as reports:
                    yield reports
        except (httpx.HTTPError, SSEError, TimeoutError) as error:
            raise FalUnreachable(f"fal's status stream broke: {error!r}") from error
        except _PassingError as error:
            raise FalUnreachable(str(error)) from error

    def _get(self, url: str) -> httpx.Request:
        return self._client.build_request("GET", url, headers=self._headers)

    async def _ask(self, call: Call, request: httpx.Request) -> httpx.Response:
        """Send the request, and retry as `RETRIED` allows, until the deadline."""
        trouble, maybe_taken, line = "", True, _Line()
        request.extensions["trace"] = line
        try:
            async with asyncio.timeout(self._deadlines[call]):
                for pause in _pauses(self._jitter):
                    trouble, maybe_taken = "no answer came in time, so it may have been taken all the same", True
                    try:
                        return _settle(call, await self._client.send(request))
                    except _PassingError as error:
                        trouble, maybe_taken = str(error), False
                        await self._sleep(max(error.retry_after, pause))
                    except (httpx.TransportError, httpx.DecodingError) as error:
                        trouble, maybe_taken = _transport_trouble(call, error), False
                        await self._sleep(pause)
        except TimeoutError:
            if line.connecting:
                trouble, maybe_taken = "no connection was made in time", False
        raise FalUnreachable(f"The {call.value} request to fal failed: {trouble}.", maybe_taken=maybe_taken)


class _Line:
    """Receives httpx's trace of a request; `connecting` is True from its first connection event to its first byte."""

    def __init__(self) -> None:
        self.connecting = False

    async def __call__(self, event: str, _info: object) -> None:
        self.connecting = event.startswith("connection.")


class _PassingError(Exception):
    """A retryable answer."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


async def _reports(source: EventSource) -> AsyncGenerator[Progressed, None]:
    async for event in source.aiter_sse():
        if not event.data:  # httpx-sse also yields a lone `retry:` or `id:`, for which WHATWG SSE dispatches no event
            continue
        yield progressed(read(event.data.encode(), Status))


def _pauses(jitter: Callable[[], float]) -> list[float]:
    """Return exponential pauses in seconds, with jitter over the upper half of each; the deadline ends them."""
    return [min(0.2 * 2**attempt, 5.0) * (0.5 + jitter() / 2) for attempt in range(12)]


def _settle(call: Call, response: httpx.Response) -> httpx.Response:
    """Return a successful answer; raise _PassingError when it is retryable, else FalUnreachable or FalRejected."""
    code = response.status_code
    if code < 300:
        return response
    trouble = _trouble(response)
    if trouble is not None and call in RETRIED[trouble]:
        raise _PassingError(f"it answered {code}", _retry_after(response))
    if trouble is not None:
        raise FalUnreachable(f"fal answered {code}, and may have taken the {call.value} request all the same.")
    body = json_or_none(response.content)
    reason = sentence(body, response.text[:200] or f"fal answered {code} without a word.")
    raise FalRejected(
        reason,
        fal_status=code,
        fal_body=body if body is not None else response.text or None,
        maybe_taken=code >= 500 and code != 504 and "x-fal-request-id" in response.headers,
    )


def _trouble(response: httpx.Response) -> Trouble | None:
    code = response.status_code
    if code == 429:
        return Trouble.BUSY
    if code not in {502, 503, 504}:
        return None
    if code == 504 and response.headers.get("x-fal-request-timeout-type") == "user":
        return None  # the user's own start timeout expired: final
    return Trouble.TAKEN if "x-fal-request-id" in response.headers else Trouble.GATEWAY


def _transport_trouble(call: Call, error: httpx.RequestError) -> str:
    not_sent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    trouble = Trouble.NOT_SENT if not_sent else Trouble.NO_ANSWER
    if call not in RETRIED[trouble]:
        raise FalUnreachable(
            f"The connection to fal broke, and it may have taken the {call.value} request: {error!r}."
        ) from error
    return repr(error)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), DEADLINE_SECONDS) if text.isascii() and text.isdigit() else 0.0

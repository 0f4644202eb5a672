"""A client for fal's queue: submit, status, result, cancel, and the status stream.

Source: fal's documentation, "Queue API".
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, SSEError
from msgspec import Raw
from msgspec.structs import replace

from hookcast.errors import FalRejected, FalUnreachable, UnusableResult
from hookcast.fal import answers
from hookcast.fal.addresses import addresses_of, without_logs
from hookcast.fal.answers import CancelAnswer, Status, Submitted
from hookcast.fal.calls import (
    DEADLINE_SECONDS,
    DEADLINES,
    MAX_ANSWER_BYTES,
    Answer,
    Call,
    Calls,
    PassingError,
    Sleep,
    TooLarge,
    kind_of,
)
from hookcast.jobs import Job
from hookcast.loglines import LogLine, StreamedLog

STREAM_SILENCE_SECONDS = 45.0  # fal sends a comment every 15 s
ACCEPTED = 202
MAX_RESULT_BYTES = 32 * 1024 * 1024


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
        max_result_bytes: int = MAX_RESULT_BYTES,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        deadlines: Mapping[Call, float] = DEADLINES,
    ) -> None:
        self._client = client
        self._base = base_url
        self._headers = {"Authorization": f"Key {key}", "Accept": "application/json"}
        self._max_result_bytes = max_result_bytes
        self._calls = Calls(client, sleep=sleep, jitter=jitter, deadlines=deadlines)

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
        answer = await self._ask(Call.SUBMIT, request)
        return answers.submitted(answer.content, answer.headers.get("x-fal-request-id"))

    async def status(self, job: Job) -> Status:
        """Return the job's status. Raises FalRejected and FalUnreachable."""
        url = addresses_of(job, self._base).status
        try:
            answer = await self._calls.ask(Call.STATUS, self._request("GET", url))
        except TooLarge:  # its log, which a status can do without
            answer = await self._ask(Call.STATUS, self._request("GET", without_logs(url)))
        return answers.status(answer.content)

    async def result(self, job: Job, *, most: int | None = None) -> Raw:
        """Return the result of a completed job, byte for byte.

        Raises FalRejected with fal's answer unless it is a success, UnusableResult for a result that is not JSON or
        too large, FalUnreachable when fal is unavailable, TooLarge when fal's answer has more than `most` bytes.
        """
        request = self._request("GET", addresses_of(job, self._base).result)
        limit = min(most or self._max_result_bytes, self._max_result_bytes)
        try:
            answer = await self._calls.ask(Call.RESULT, request, limit, strict=limit < self._max_result_bytes)
        except TooLarge as error:
            if limit < self._max_result_bytes:
                raise
            size = "more than" if error.said is None else f"{error.said:,} bytes of at most"
            setting = f"{limit:,} bytes (HOOKCAST_MAX_WEBHOOK_BYTES)"
            raise UnusableResult(f"The result is too large: {size} {setting}.", fal_status=200) from None
        if answer.status == ACCEPTED:
            raise FalUnreachable("fal has no result yet: it answered 202.")
        found = answers.json_of(answer.content)
        if found is None:
            raise UnusableResult(f"The result is not JSON: fal delivered {kind_of(answer)}.", fal_status=answer.status)
        return found

    async def cancel(self, job: Job) -> CancelAnswer:
        """Cancel the job at fal.

        Raises FalRejected when fal's answer is none of the four it documents, FalUnreachable when fal is unavailable.
        """
        request = self._request("PUT", addresses_of(job, self._base).cancel)
        try:
            answer = await self._ask(Call.CANCEL, request)
            code, content = answer.status, answer.content
        except FalRejected as error:
            code, content = error.fal_status, bytes(error.raw_body or b"")
            if answers.cancelled(code, content) is None:
                raise
        return answers.cancelled(code, content) or CancelAnswer.REQUESTED

    @asynccontextmanager
    async def follow(self, job: Job) -> AsyncIterator[AsyncIterator[Status]]:
        """Open the status stream and yield an iterator over its reports, which ends when fal closes the stream.

        The log of a report continues the job's log. Raises FalRejected (there is no such stream, or it is not ours),
        and FalUnreachable, also while iterating.
        """
        timeout = httpx.Timeout(DEADLINE_SECONDS, read=STREAM_SILENCE_SECONDS)
        headers = {**self._headers, "Accept": "text/event-stream", "Cache-Control": "no-store"}
        url = addresses_of(job, self._base).stream
        try:
            async with self._client.stream("GET", url, headers=headers, timeout=timeout) as response:
                await self._calls.check(Call.STATUS, response)
                response.stream = _Bounded(response.stream)
                async with aclosing(_reports(EventSource(response), job.progress.logs)) as reports:
                    yield reports
        except SSEError as error:
            raise FalRejected(f"fal's status stream is not an event stream: {error}.", fal_status=200) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise FalUnreachable(f"fal's status stream broke: {error!r}") from error
        except PassingError as error:
            raise FalUnreachable(str(error)) from error

    def _request(self, method: str, url: str) -> httpx.Request:
        return self._client.build_request(method, url, headers=self._headers)

    async def _ask(self, call: Call, request: httpx.Request) -> Answer:
        try:
            return await self._calls.ask(call, request)
        except TooLarge:
            raise FalUnreachable(f"fal's answer to the {call.value} request is too large.") from None


class _Bounded(httpx.AsyncByteStream):
    """A stream whose events have at most `MAX_ANSWER_BYTES` each: what parses them keeps an event until its end."""

    def __init__(self, stream: httpx.AsyncByteStream | httpx.SyncByteStream) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - of an asynchronous client
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            end = max(chunk.rfind(blank) for blank in (b"\n\n", b"\r\r", b"\r\n\r\n"))
            size = size + len(chunk) if end < 0 else len(chunk) - end
            if size > MAX_ANSWER_BYTES:
                raise httpx.ReadError("an event is too large")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _reports(source: EventSource, kept: tuple[LogLine, ...]) -> AsyncGenerator[Status, None]:
    """Yield the reports of a stream; skip events that cannot be read."""
    log = StreamedLog(kept)
    async for event in source.aiter_sse():
        if not event.data:  # httpx-sse also yields a lone `retry:` or `id:`, for which WHATWG SSE dispatches no event
            continue
        try:
            report = answers.status(event.data.encode())
        except FalUnreachable:
            continue
        yield replace(report, progress=replace(report.progress, logs=log.tell(report.progress.logs)))

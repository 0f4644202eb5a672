"""The client's public interface."""

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import httpx
import msgspec
from msgspec import Raw

from hookcast.client.attempts import Manner, Notice, Sleep
from hookcast.client.calls import Calls
from hookcast.client.connection import JOBS, Connection, Request, idempotency, job_path, within
from hookcast.client.errors import (
    ClientError,
    DeadlinePassed,
    JobCancelled,
    JobFailed,
    Refused,
)
from hookcast.client.feeds import FeedWatcher
from hookcast.client.ladder import Ladder
from hookcast.client.model import Job, Submitted, decode_submitted
from hookcast.client.operating import (
    Journal,
    Page,
    decode_journal,
    decode_nothing,
    decode_page,
    decode_redelivering,
    decode_time,
)
from hookcast.client.token import Token
from hookcast.client.watching import Watcher

LAST_LOOK_SECONDS = 5.0  # beyond the deadline of a watch: a stream may have died silently
_T = TypeVar("_T")


class Hookcast:
    """A client of the server at `url`; use it as `async with Hookcast(url, token=…) as client`.

    `token`: an API key, a token, or an async function that returns one; it is called again when the token expires or is
    rejected. `timeout`: seconds for each call, including retries. `heartbeat`: the server's HOOKCAST_HEARTBEAT_SECONDS.
    Every method raises ClientError (see `hookcast.client.errors`) with the problem's `status`, `code` and `detail`.
    Once the client is closed, calls and watches raise Refused with the code `closed`.
    One client may be shared by any number of tasks of one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        timeout: float = 30.0,
        heartbeat: float = 15.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._connection = Connection(url, token=token, timeout=timeout, transport=transport)
        self._calls = Calls(self._connection, timeout, sleep, jitter)
        self._timeout = timeout
        self._heartbeat = heartbeat
        self._sleep = sleep
        self._jitter = jitter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def submit(
        self,
        endpoint_id: str,
        input: Mapping[str, Any] | Raw,  # noqa: A002 - fal's own clients name it so
        *,
        owner: str | None = None,
        group: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        retry: bool = False,
    ) -> Submitted:
        """Submit a job to fal's queue and return at once.

        `input` is the model's own input; `options` are fal's request headers by name (docs/protocol.md). Calls with
        the same `idempotency_key` return the same job; without one, each call generates its own, so its retries are
        safe. Raises Refused with the code `submit_outcome_unknown` when fal may have accepted an earlier request with
        the key and its webhook has not arrived; `retry` submits again in this case.
        """
        facts = {"owner": owner, "group": group, "metadata": metadata, "options": options}
        body = {"endpointId": endpoint_id, "input": input, **{name: v for name, v in facts.items() if v is not None}}
        once = idempotency(str(uuid.uuid4()) if idempotency_key is None else idempotency_key, again=retry)
        try:
            content = msgspec.json.encode(body)
        except UnicodeEncodeError as error:
            raise Refused(f"The request is not Unicode text: {error}.", code="invalid_request") from None
        headers = {"Content-Type": "application/json", **once}
        response = await self._calls.ask("POST", JOBS, headers=headers, content=content, repeat=not retry)
        return self._calls.read(decode_submitted, response)

    async def retry(self, request_id: str, *, idempotency_key: str | None = None, again: bool = False) -> Submitted:
        """Submit the input of an ended job again, as a new job whose `retry_of` names the old one.

        While a retry is pending, another call without an `idempotency_key` returns the same job. `again` submits once
        more after `submit_outcome_unknown`. Raises NotFound, Refused (`not_terminal`, `input_not_kept`).
        """
        headers, repeat = idempotency(idempotency_key, again=again), idempotency_key is not None and not again
        response = await self._calls.ask("POST", f"{job_path(request_id)}/retry", headers=headers, repeat=repeat)
        return self._calls.read(decode_submitted, response)

    async def get(self, request_id: str) -> Job:
        """Return the job's newest state. Raises NotFound."""
        return self._calls.job(await self._calls.ask("GET", job_path(request_id)))

    async def cancel(self, request_id: str) -> Job:
        """Request cancellation from fal; the job may still complete. Raises NotFound, Refused (`already_terminal`)."""
        return self._calls.job(await self._calls.ask("POST", f"{job_path(request_id)}/cancel", repeat=False))

    async def list(
        self,
        *,
        owner: str | None = None,
        group: str | None = None,
        status: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Return the jobs that the token may see, newest first: at most `limit` (1 to 200) from `cursor` on.

        `status` is pending, completed, failed or cancelled.
        """
        asked = {"owner": owner, "group": group, "status": status, "limit": limit, "cursor": cursor}
        params = {name: value for name, value in asked.items() if value is not None}
        return self._calls.read(decode_page, await self._calls.ask("GET", JOBS, params=params))

    async def journal(self, request_id: str) -> Journal:
        """Return what happened to the job, in order, and what it says. Needs an API key. Raises NotFound."""
        return self._calls.read(decode_journal, await self._calls.ask("GET", f"{job_path(request_id)}/journal"))

    async def server_time(self) -> datetime:
        """Return the time by the server's clock."""
        return self._calls.read(decode_time, await self._calls.ask("GET", "/healthz"))

    async def refresh(self, request_id: str) -> Job:
        """Have fal asked about the job now. Needs an API key. Raises NotFound, Refused (`already_terminal`)."""
        return self._calls.job(await self._calls.ask("POST", f"{job_path(request_id)}/refresh"))

    async def redeliver(self, request_id: str) -> Job:
        """Have the backend told of the job's end again. Needs an API key. Raises NotFound, Refused (`not_terminal`)."""
        return self._calls.job(await self._calls.ask("POST", f"{job_path(request_id)}/redeliver"))

    async def redeliver_since(self, moment: datetime) -> int:
        """Have the backend told of all jobs that ended since `moment` (aware) again, and return how many. API key."""
        params = {"since": moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        return self._calls.read(decode_redelivering, await self._calls.ask("POST", "/api/redeliver", params=params))

    async def remove(self, request_id: str) -> None:
        """Remove an ended job, its files and journal. Needs an API key. Raises NotFound, Refused (`not_terminal`)."""
        self._calls.read(decode_nothing, await self._calls.ask("DELETE", job_path(request_id)))

    async def watch(
        self, request_id: str, *, timeout: float | None = None, notify: Callable[[Notice], object] = lambda _: None
    ) -> AsyncGenerator[Job, None]:
        """Yield the job's current state and every newer one; return after the terminal state.

        Reconnects after restarts and broken connections, and waits for a job that is not known yet. Raises
        DeadlinePassed when the job has not ended after `timeout` seconds and the server, asked once more, says so too;
        AccessRefused; UnexpectedAnswer when the server at this address is not Hookcast. `notify` receives a Notice
        when the transport changes or an attempt fails.

        To leave the loop early and keep using the client, wrap this in `contextlib.aclosing`, as any async generator.
        """
        clock = asyncio.get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        watcher = Watcher(self._connection, request_id, self._manner(notify))
        async with aclosing(watcher.states()) as states:
            while (job := await self._before(deadline, states, request_id)) is not None:
                yield job
                if job.ended:
                    return

    def watch_owner(
        self, owner: str, *, notify: Callable[[Notice], object] = lambda _: None
    ) -> AsyncGenerator[Job, None]:
        """Yield the states of all jobs of an owner, also of those submitted later: first the current, then every newer.

        It has no end: leave the loop, in `contextlib.aclosing`. Begins with the 1,000 most recently changed jobs, and
        reconnects as `watch` does. Raises NotFound when the token is not this owner's, and AccessRefused.
        """
        return FeedWatcher(self._connection, {"owner": owner}, self._manner(notify)).states()

    def watch_group(
        self, group: str, *, notify: Callable[[Notice], object] = lambda _: None
    ) -> AsyncGenerator[Job, None]:
        """Yield the states of all jobs of a group, as `watch_owner` does."""
        return FeedWatcher(self._connection, {"group": group}, self._manner(notify)).states()

    def watch_all(
        self, *, since: datetime | None = None, notify: Callable[[Notice], object] = lambda _: None
    ) -> AsyncGenerator[Job, None]:
        """Yield every state of every job from now on, or `since` a time with its zone, without end; needs an API key.

        A reconnect yields what has changed meanwhile, of at most 1,000 jobs.
        """
        return FeedWatcher(self._connection, {}, self._manner(notify), since=since).states()

    @overload
    async def wait(self, request_id: str, *, timeout: float | None = None) -> Any: ...
    @overload
    async def wait(self, request_id: str, *, timeout: float | None = None, as_type: type[_T]) -> _T: ...
    async def wait(self, request_id: str, *, timeout: float | None = None, as_type: Any = Any) -> Any:
        """Wait for the job to complete and return its result, converted by msgspec to `as_type`.

        Raises JobFailed, JobCancelled, and the errors of `watch`.
        """
        async with aclosing(self.watch(request_id, timeout=timeout)) as states:
            async for job in states:
                if job.status == "completed":
                    return job.result(as_type)
                if job.ended:
                    raise JobCancelled(job) if job.status == "cancelled" else JobFailed(job)
        raise AssertionError("a watch ends with a terminal state")

    async def _before(self, deadline: float | None, states: AsyncGenerator[Job, None], request_id: str) -> Job | None:
        """Return the next state, or None after the last. Asks once more at the deadline; raises DeadlinePassed."""
        try:
            async with asyncio.timeout_at(deadline) as limit:
                return await anext(states, None)
        except TimeoutError:
            if not limit.expired():
                raise
        job = await self._last_look(request_id)
        if job is None or not job.ended:
            raise DeadlinePassed(f"The job {request_id} did not end within the timeout; it continues.")
        return job

    async def _last_look(self, request_id: str) -> Job | None:
        """Return the job's state, or None when the server does not return it within LAST_LOOK_SECONDS."""
        request = Request(method="GET", path=job_path(request_id), silence=LAST_LOOK_SECONDS)
        try:
            return self._calls.job(await within(LAST_LOOK_SECONDS, self._connection.ask(request), self._connection.url))
        except ClientError:
            return None

    def _manner(self, notify: Callable[[Notice], object]) -> Manner:
        return Manner(
            ladder=Ladder(self._jitter),
            heartbeat=self._heartbeat,
            timeout=self._timeout,
            notify=notify,
            sleep=self._sleep,
            clock=asyncio.get_running_loop().time,
        )

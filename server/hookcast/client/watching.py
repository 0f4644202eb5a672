"""One watch of one job: every newer state until the terminal one, across reconnects and server restarts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hookcast.client.attempts import HEARTBEATS, POLL_SECONDS, Attempts, Failed, Manner
from hookcast.client.connection import Connection, Request, job_path
from hookcast.client.ladder import Transport, Trouble
from hookcast.client.model import Job

WAIT_SECONDS = 25
HASTY_SECONDS = 1.0  # a long poll that returns sooner without a newer version was not held open


class Watcher(Attempts):
    """Watches a job."""

    def __init__(self, connection: Connection, request_id: str, manner: Manner) -> None:
        super().__init__(connection, manner)
        self._path = job_path(request_id)
        self._version = 0

    async def states(self) -> AsyncGenerator[Job, None]:
        """Yield newer states only; return after the terminal one. Raises ClientError when a retry cannot help."""
        async with aclosing(self._all()) as jobs:
            async for job in jobs:
                if job.version > self._version:
                    self._version = job.version
                    yield job
                    if job.ended:
                        return

    def _way(self, transport: Transport) -> AsyncGenerator[Job, None]:
        ways = {Transport.SSE: self._events, Transport.LONG_POLL: self._long_poll, Transport.POLL: self._poll}
        return ways[transport]()

    def _stream(self) -> Request:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._version:
            headers["Last-Event-ID"] = str(self._version)
        silence = HEARTBEATS * self._manner.heartbeat
        return Request(method="GET", path=f"{self._path}/events", headers=headers, silence=silence)

    async def _ended(self) -> AsyncGenerator[Job, None]:
        """Read the terminal state after the server signalled the end of the job."""
        response = await self._read(Request(method="GET", path=self._path, silence=self._timeout), self._timeout)
        yield self._decode(response.content)

    async def _long_poll(self) -> AsyncGenerator[Job, None]:
        """Long-poll: the server holds each request until there is a newer version."""
        while not self._may_climb():
            asked = self._clock()
            request = Request(
                method="GET",
                path=self._path,
                params={"wait": WAIT_SECONDS, "version": self._version},
                silence=WAIT_SECONDS + self._timeout,
            )
            response = await self._read(request, WAIT_SECONDS + self._timeout)
            job = self._decode(response.content)
            if job.version <= self._version and self._clock() - asked < HASTY_SECONDS:
                raise Failed(Trouble.BROKEN, "long polls return at once", at_least=POLL_SECONDS)
            self._worked()
            yield job

    async def _poll(self) -> AsyncGenerator[Job, None]:
        """Poll every 3 s."""
        while not self._may_climb():
            headers = {"If-None-Match": f'"{self._version}"'} if self._version else {}
            request = Request(method="GET", path=self._path, headers=headers, silence=self._timeout)
            response = await self._read(request, self._timeout)
            job = None if response.status_code == 304 else self._decode(response.content)
            self._worked()
            if job is not None:
                yield job
            await self._sleep(POLL_SECONDS)

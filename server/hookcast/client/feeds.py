"""One watch of many jobs, those of a feed: every newer state of each, across reconnects and server restarts."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from hookcast.client.attempts import HEARTBEATS, POLL_SECONDS, Attempts, Manner
from hookcast.client.connection import JOBS, Connection, Request, job_path
from hookcast.client.errors import ClientError, NotFound, UnexpectedAnswer
from hookcast.client.ladder import Transport
from hookcast.client.model import Job
from hookcast.client.operating import decode_page

KEPT_VERSIONS = 20_000  # as many as the server remembers; an old state of a forgotten job may be yielded again
OVERLAP = timedelta(seconds=10)  # of what a reconnect reads again: several clocks are involved
PAGE = 200
LOOKED_AT = 50  # pending jobs that are no longer on the first page, for each poll


class FeedWatcher(Attempts):
    """Watches a feed: `names` are the parameters of a stream of groups and owners; none = everything, `since`."""

    def __init__(
        self, connection: Connection, names: Mapping[str, str], manner: Manner, *, since: datetime | None = None
    ) -> None:
        super().__init__(connection, manner)
        self._names = names
        self._from = since  # what was written earlier has arrived
        self._newest = since
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._pending: dict[str, None] = {}

    async def states(self) -> AsyncGenerator[Job, None]:
        """Yield newer states only, without end. Raises ClientError when a retry cannot help."""
        async with aclosing(self._all()) as jobs:
            async for job in jobs:
                if job.version > self._versions.get(job.request_id, 0):
                    self._note(job)
                    yield job

    def _way(self, transport: Transport) -> AsyncGenerator[Job, None]:
        return self._events() if transport is Transport.SSE else self._poll()

    def _stream(self) -> Request:
        params: dict[str, str | int] = {**self._names} if self._names else {"all": 1}
        if not self._names and self._from is not None:
            params["since"] = (self._from - OVERLAP).isoformat()
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        silence = HEARTBEATS * self._manner.heartbeat
        return Request(method="GET", path=f"{JOBS}/events", params=params, headers=headers, silence=silence)

    def _opened(self, response: httpx.Response) -> None:
        if self._from is None:
            self._from = self._newest = _date_of(response)

    def _caught_up(self) -> None:
        # No state alone moves it: first states come latest first. No poll does: the list lacks changes of older jobs.
        self._from = self._newest

    async def _poll(self) -> AsyncGenerator[Job, None]:
        """Poll the list every 3 s: the newest jobs, and known pending ones that are not among these any more."""
        while not self._may_climb():
            params: dict[str, str | int] = {**self._names, "limit": PAGE}
            request = Request(method="GET", path=JOBS, params=params, silence=self._timeout)
            response = await self._read(request, self._timeout)
            page = self._page(response.content)
            self._worked()
            old = [name for name in self._pending if name not in {job.request_id for job in page}][:LOOKED_AT]
            for job in reversed(page):
                if self._wanted(job):
                    yield job
            for name in old:
                async for job in self._look(name):
                    yield job
            self._opened(response)
            await self._sleep(POLL_SECONDS)

    async def _look(self, name: str) -> AsyncGenerator[Job, None]:
        """Yield the state of one job; it comes last in the next look at pending jobs, so a failure delays no other."""
        self._pending.pop(name, None)
        self._pending[name] = None
        request = Request(method="GET", path=job_path(name), silence=self._timeout)
        try:
            response = await self._read(request, self._timeout)
        except NotFound:  # it has been removed
            del self._pending[name]
            return
        job = self._decode(response.content)
        if job.ended:
            del self._pending[name]
        yield job

    def _wanted(self, job: Job) -> bool:
        """Return whether a listed job belongs to the feed: of everything, only what changes from its beginning on."""
        if self._names or job.request_id in self._versions:
            return True
        begins = self._from
        return begins is not None and job.updated_at is not None and job.updated_at >= begins - OVERLAP

    def _note(self, job: Job) -> None:
        name = job.request_id
        self._versions.pop(name, None)
        self._versions[name] = job.version
        if job.ended:
            self._pending.pop(name, None)
        else:
            self._pending[name] = None
        if len(self._versions) > KEPT_VERSIONS:
            oldest, _ = self._versions.popitem(last=False)
            self._pending.pop(oldest, None)
        if job.updated_at is not None and (self._newest is None or job.updated_at > self._newest):
            self._newest = job.updated_at

    def _page(self, body: bytes) -> tuple[Job, ...]:
        try:
            jobs = decode_page(body).jobs
        except (ValueError, RecursionError) as error:
            strange = UnexpectedAnswer(f"{self._connection.url} answered with something that is not a list: {error}.")
            raise self._failed(strange, streaming=False) from error
        self._met = True
        return jobs

    def _failed(self, error: ClientError, *, streaming: bool) -> Exception:
        # A feed need not exist to be watched: a token does not show this one.
        return error if isinstance(error, NotFound) else super()._failed(error, streaming=streaming)


def _date_of(response: httpx.Response) -> datetime | None:
    """Return the server's time (RFC 9110 section 6.6.1)."""
    try:
        return parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError):
        return None

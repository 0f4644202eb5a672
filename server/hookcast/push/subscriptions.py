"""Bring a subscriber up to date: subscribe on the bus → read the store → go live, dropping older states."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from itertools import islice
from typing import NamedTuple, Protocol

from hookcast.auth import EVERYBODY, Caller
from hookcast.bus import ALL_TOPIC, Bus
from hookcast.errors import JobNotFound
from hookcast.jobs import Job
from hookcast.journal import Event, Notebook
from hookcast.push.admission import Admission
from hookcast.push.backlog import Backlog
from hookcast.push.hub import Hub
from hookcast.push.shared import Recent
from hookcast.push.topics import JobTopic, Names, Subscriber, Topics
from hookcast.push.watch import Watch
from hookcast.store import Outline
from hookcast.wire import State

FEED_STATES = 1000  # initial states per feed, of the most recently changed jobs
CHUNK = 100  # jobs read at once for a stream
READS = 8  # such reads at a time, of all streams


class Jobs(Protocol):
    """The reads of the job store that subscribers need."""

    async def outline(self, request_id: str) -> Outline | None:
        """Return the job's outline, or None."""

    async def outlines(self, request_ids: Iterable[str]) -> list[Outline]:
        """Return the outlines of the jobs that exist, in this order."""

    async def whole(self, request_id: str) -> Job | None:
        """Return the job with its large columns, or None."""

    async def of_group(self, group: str, limit: int, seen_by: Caller = EVERYBODY) -> dict[str, int]:
        """Return the versions of at most `limit` jobs of the group that `seen_by` sees, most recently changed first."""

    async def of_owner(self, owner: str, limit: int) -> dict[str, int]:
        """Return the versions of at most `limit` jobs of the owner, most recently changed first."""

    async def written_since(self, moment: datetime, limit: int) -> dict[str, int]:
        """Return the versions of at most `limit` jobs written since, the latest first."""


class Joined(NamedTuple):
    """The topics joined, and the initial states: the first ones, and the names of those still to be read.

    The states are never older than those pushed to the subscriber since.
    """

    topics: Topics
    states: list[State]
    rest: Backlog | None


class Subscriptions:
    """Connects subscribers to the hub, bus and store of one node. `resynced` counts jobs the bus did not deliver."""

    def __init__(  # noqa: PLR0917
        self,
        hub: Hub,
        store: Jobs,
        bus: Bus,
        admission: Admission,
        recent: Recent,
        notebook: Notebook,
    ) -> None:
        self.resynced = 0
        self._hub = hub
        self._store = store
        self._bus = bus
        self._admission = admission
        self._recent = recent
        self._notebook = notebook
        self._reads = asyncio.Semaphore(READS)

    async def permitted(self, caller: Caller, names: Names) -> Names:
        """Return the names that the caller may watch. Raises StoreUnavailable.

        A job that the caller's token names may be watched before it exists. Any other job must exist, since access to
        it depends on its owner and group: a hidden job looks like a missing one. Of a group that the token does not
        name, the stream shows only the caller's own jobs. The jobs of an owner are shown to that owner only, and
        everything to nobody with a token.
        """
        if caller.full:
            return names
        asked = [name for name in names.jobs if not caller.knows_job(name)]
        found = await self._store.outlines(asked) if asked and (caller.sub is not None or caller.groups) else []
        visible = {job.request_id for job, _ in found if caller.sees(job.request_id, job.owner, job.group)}
        hidden = {name for name in asked if name not in visible}
        return Names(
            tuple(name for name in names.jobs if name not in hidden),
            tuple(group for group in names.groups if caller.knows_group(group) or caller.sub is not None),
            tuple(owner for owner in names.owners if caller.knows_owner(owner)),
        )

    async def join(
        self, subscriber: Subscriber, names: Names, caller: Caller = EVERYBODY, *, since: datetime | None = None
    ) -> Joined:
        """Subscribe, and read the states the caller may see. Raises StoreUnavailable, then nothing is subscribed.

        Everything begins with the jobs written `since`; None = with what changes from now on.
        """
        topics = self._hub.join(subscriber, names)
        try:
            await self._bus.subscribe(topics.channels)
            states, rest = await self._read(names, caller, since)
        except BaseException:
            self.leave(subscriber, topics)
            raise
        return self._joined(subscriber, topics, states, rest)

    async def join_one(self, subscriber: Subscriber, request_id: str, caller: Caller = EVERYBODY) -> Joined:
        """Do as `join` does for one job. Raises JobNotFound if the caller may not watch it (see `permitted`)."""
        names = Names(jobs=(request_id,))
        if not (caller.knows_job(request_id) or (await self.permitted(caller, names)).jobs):
            raise JobNotFound(request_id)
        topics = self._hub.join(subscriber, names)
        try:
            await self._bus.subscribe(topics.channels)
            state = self._held(topics.jobs[0])
            outline = None if state is not None else await self._store.outline(request_id)
        except BaseException:
            self.leave(subscriber, topics)
            raise
        if outline is not None and not outline.left_out:
            state = self._recent.encode(outline.job)
        rest = Backlog(large={request_id: outline.left_out}) if outline is not None and outline.left_out else None
        return self._joined(subscriber, topics, [] if state is None else [state], rest)

    def _held(self, topic: JobTopic) -> State | None:
        """Return what the job's other subscribers have, if it is at hand. Links of an ended job may expire."""
        return self._recent.get(topic.request_id, topic.version) if topic.version and not topic.ended else None

    def _joined(self, subscriber: Subscriber, topics: Topics, states: list[State], rest: Backlog | None) -> Joined:
        """Bring the other subscribers up to date, too, and note in the journals who watches."""
        known = bool(states) or rest is not None  # lines of unknown jobs are not written
        kind = subscriber.kind
        for topic in topics.jobs:
            self._notebook.note_once(topic.request_id, Event.WATCHED, kind, remember=known, transport=kind)
        return Joined(topics, [state for state in states if self._hub.deliver(state, skip=subscriber)], rest)

    def leave(self, subscriber: Subscriber, topics: Topics) -> None:
        """Unsubscribe, also on the bus from channels that have no subscriber left on this node."""
        channels = self._hub.leave(subscriber, topics).channels
        if channels:
            self._bus.unsubscribe(channels)

    def tell(self, job: Job) -> None:
        """Deliver a job read from the store to subscribers that have an older version."""
        self.resynced += 1
        self._hub.deliver(self._recent.encode(job))

    @asynccontextmanager
    async def watch(
        self, request_id: str, caller: Caller = EVERYBODY, holders: tuple[str, ...] = ()
    ) -> AsyncIterator[Watch]:
        """Watch one job for a long poll, starting with its state. Raises StoreUnavailable and JobNotFound.

        A long poll takes a place as a stream does: raises TooManyStreams and TooManyStreamsOfClient.
        """
        watch, topics = Watch(active=True), Topics()
        with self._admission.polling(watch, holders):
            try:
                topics, states, rest = await self.join_one(watch, request_id, caller)
                for state in states if rest is None else await self._read_large(watch, request_id):
                    watch.push(state)
                yield watch
            finally:
                self.leave(watch, topics)

    @contextmanager
    def overhear(self, request_id: str) -> Iterator[Watch]:
        """Watch a job that others watch, during the block: their states reach it, and it reads nothing itself."""
        watch = Watch(active=False)
        with self._admission.waiting(watch):
            topics = self._hub.join(watch, Names(jobs=(request_id,)))
            try:
                yield watch
            finally:
                self.leave(watch, topics)

    async def outlines(self, request_ids: list[str]) -> list[Outline]:
        """Return the outlines of the jobs that exist. Raises StoreUnavailable."""
        async with self._reads:
            return await self._store.outlines(request_ids)

    async def read(self, versions: dict[str, int]) -> tuple[list[State], dict[str, int]]:
        """Return the states of the jobs that exist, and the bytes that are left out of the others, which are large.

        What another stream has just read is not read again, unless the store has a newer version (see `Backlog.first`).
        Raises StoreUnavailable.
        """
        async with self._reads:
            await asyncio.sleep(0)  # also when nothing is read, so that streams take turns
            states = self._recent.at_hand(versions)
            kept = {state.request_id for state in states}
            outlines = await self._store.outlines([name for name in versions if name not in kept])
        states += [self._recent.encode(job) for job, left_out in outlines if not left_out]
        return states, {job.request_id: left_out for job, left_out in outlines if left_out}

    async def whole(self, request_id: str) -> Job | None:
        """Return the whole job. Raises StoreUnavailable."""
        return await self._store.whole(request_id)

    async def names_of(self, feed: str, caller: Caller) -> dict[str, int]:
        """Return the jobs that streams of the feed (a channel) begin with, and their versions.

        Raises StoreUnavailable.
        """
        kind, _, name = feed.partition(":")
        if kind == "group":
            return await self._store.of_group(name, FEED_STATES, caller)
        return await self._store.of_owner(name, FEED_STATES)  # its streams are the owner's: all of these are visible

    async def _read_large(self, watch: Watch, request_id: str) -> list[State]:
        """Return the state of a large job; if it has ended, leave its outline to the watch instead."""
        outline = await self._store.outline(request_id)
        if outline is not None and outline.left_out and outline.job.status.terminal:
            watch.ended = outline
            return []
        job = await self.whole(request_id)
        return [] if job is None else [self._recent.encode(job)]

    async def _read(self, names: Names, caller: Caller, since: datetime | None) -> tuple[list[State], Backlog | None]:
        """Return the first states, and a backlog of those that are not read yet."""
        found, feeds = dict.fromkeys(names.jobs, 0), [feed for feed in names.feeds if feed != ALL_TOPIC]
        if names.everything and since is not None:
            found |= await self._store.written_since(since, FEED_STATES)
        while feeds and len(found) < CHUNK:
            found |= await self.names_of(feeds.pop(0), caller)
        now, later = dict(islice(found.items(), CHUNK)), dict(islice(found.items(), CHUNK, None))
        states, large = await self.read(now)
        rest = Backlog(later, feeds, large=large, sent=names.jobs)
        return states, rest or None

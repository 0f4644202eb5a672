"""The push engine of one node: its hub, its timer, its open streams, and how a subscriber gets up to date.

Order of every subscription: listen on the bus → read the state from the store → go live, dropping what is not newer.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hookcast.auth import EVERYBODY, Caller, Gate
from hookcast.buckets import Buckets
from hookcast.bus import Bus
from hookcast.errors import Draining, HookcastError, TooManyStreams
from hookcast.jobs import Job
from hookcast.push.heartbeat import Looked, Wheel
from hookcast.push.holders import Holders
from hookcast.push.hub import Hub, Names, Subscriber, Topics
from hookcast.push.watch import Watch
from hookcast.store import JobStore
from hookcast.wire import State, encode

GROUP_STATES = 1000  # of a group's jobs, the most recently changed ones are sent at first
WHEEL_STEPS = 100  # a heartbeat; how exact the timer is
SHARED_STATES = 256
SHARED_BYTES = 16 * 1024
# What a WebSocket may subscribe to: a page that names its 1,000 jobs one by one, and renames them all, is within it.
NAMES_AT_ONCE = 2000
NAMES_PER_SECOND = 100


class OpenStream(Looked, Protocol):
    """A connection that the engine may tell to end."""

    kind: str
    """`sse` or `websocket`."""

    def drain(self) -> None:
        """Tell the client when to come back, then close."""

    def discard(self) -> None:
        """Cut the connection, if there is one, and let go of everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds. A stream ends after 80 to 100 % of `lifetime`; reconnects are spread over `drain`."""

    heartbeat: float = 15.0
    lifetime: float = 3600.0
    drain: float = 10.0
    max_streams: int = 1_000_000
    max_streams_per_address: int = 1000
    max_streams_per_token: int = 1000


@dataclass(slots=True)
class Counts:
    """What has happened since the start; numbers only, so that counting costs nothing.

    `opened` and `closed` are streams by kind, `refused` those for which there was no room, by the error's code; `slow`
    ones were closed since they could not keep up. `resynced` are states that the bus had not brought.
    """

    opened: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    slow: int = 0
    resynced: int = 0


class Joined(NamedTuple):
    """What a subscriber watches now, and the states to begin with (never older than what was pushed to it since)."""

    topics: Topics
    states: list[State]


class Engine:
    """Use it in one event loop. It can be drained before, while and after it runs."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self.draining = False
        self.gate = Gate(time.time)
        self.hub = Hub(clock)
        self.counts = Counts()
        self.wheel = Wheel(clock, self.limits.heartbeat / WHEEL_STEPS)
        self.streams: dict[OpenStream, tuple[str, ...]] = {}  # each with its holders
        self.holders = Holders(
            {"address": self.limits.max_streams_per_address, "token": self.limits.max_streams_per_token}
        )
        self.asking = Buckets(clock, rate=NAMES_PER_SECOND, burst=NAMES_AT_ONCE)
        self._watches: set[Watch] = set()
        self._shared: dict[str, State] = {}
        self._store: JobStore | None = None
        self._bus: Bus | None = None
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self, store: JobStore, bus: Bus) -> AsyncIterator[None]:
        """Turn the timer and own the tasks of the streams; at the end streams are drained and tasks waited for."""
        self._store, self._bus = store, bus
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            turning = tasks.create_task(self.wheel.run())
            try:
                yield
            finally:
                self.drain()  # whoever runs the application may not have done so
                self._tasks = None
                turning.cancel()

    def admit(self, holders: Sequence[str] = ()) -> None:
        """Raise Draining, TooManyStreams or TooManyStreamsOfClient when no further stream may be opened."""
        try:
            self._check_room(holders)
        except HookcastError as error:
            self.counts.refused[error.code] += 1
            raise

    def _check_room(self, holders: Sequence[str]) -> None:
        if self.draining:
            raise Draining("The server is restarting; connect again in a moment.")
        if len(self.streams) >= self.limits.max_streams:
            raise TooManyStreams(f"This server has its {self.limits.max_streams} streams; try another one, or later.")
        self.holders.check(holders)

    @contextmanager
    def opening(self, stream: OpenStream, holders: tuple[str, ...] = ()) -> Iterator[None]:
        """Hold a place for the stream; when the block fails, nothing of the stream stays. Raises what `admit` raises.

        The place counts from here on: of many that connect at the same moment no more get in than there is room for.
        `holders` are whose stream it is (`push.holders`).
        """
        self.admit(holders)
        self.holders.enter(holders)
        self.streams[stream] = holders
        self.counts.opened[stream.kind] += 1
        try:
            yield
        except BaseException:
            stream.discard()
            raise

    def hold(self, stream: OpenStream, holder: str) -> None:
        """The stream has a holder of this kind now, whoever was it before. Raises TooManyStreamsOfClient."""
        before = self.streams.get(stream)
        if before is None or holder in before:
            return
        self.holders.check((holder,))
        kind = holder.partition(":")[0]
        after = (*(name for name in before if name.partition(":")[0] != kind), holder)
        self.holders.leave(before)
        self.holders.enter(after)
        self.streams[stream] = after

    def spawn(self, work: Coroutine[None, None, None]) -> bool:
        """Run the work of a stream, which must not raise; False (and nothing is run) when the engine has ended."""
        if self._tasks is None:
            work.close()
            return False
        self._tasks.create_task(work)
        return True

    async def permitted(self, caller: Caller, names: Names) -> Names:
        """What of it the caller may watch. Raises StoreUnavailable.

        A name that the caller's token has may be watched before its job exists. Another job must be known, for only
        then it shows whose it is: one that may not be seen is answered as one that is not there. Of a group that the
        token does not have, the stream shows an owner's own jobs.
        """
        if caller.full:
            return names
        assert self._store is not None  # noqa: S101
        asked = [name for name in names.jobs if not caller.knows_job(name)]
        jobs = await self._store.get_many(asked) if asked and (caller.sub is not None or caller.groups) else {}
        hidden = {
            name for name in asked if name not in jobs or not caller.sees(name, jobs[name].owner, jobs[name].group)
        }
        return Names(
            tuple(name for name in names.jobs if name not in hidden),
            tuple(group for group in names.groups if caller.knows_group(group) or caller.sub is not None),
        )

    async def join(self, subscriber: Subscriber, names: Names, caller: Caller = EVERYBODY) -> Joined:
        """Subscribe, and read what the caller sees. Raises StoreUnavailable; then nothing was subscribed."""
        assert self._bus is not None  # noqa: S101
        topics = self.hub.join(subscriber, names)
        try:
            await self._bus.subscribe(topics.channels)
            states = await self._read(names, caller)
        except BaseException:
            self.leave(subscriber, topics)
            raise
        return Joined(topics, [state for state in states if self.hub.deliver(state, skip=subscriber)])

    def tell(self, job: Job) -> None:
        """Deliver what was read from the store to those who have less."""
        self.counts.resynced += 1
        self.hub.deliver(self._encode(job))

    def leave(self, subscriber: Subscriber, topics: Topics) -> None:
        """Unsubscribe; what nobody watches any more is left on the bus, too."""
        empty = self.hub.leave(subscriber, topics)
        if self._bus is not None and (channels := empty.channels):
            self._bus.unsubscribe(channels)

    def closed(self, stream: OpenStream) -> None:
        """Forget it. Idempotent."""
        holders = self.streams.pop(stream, None)
        if holders is not None:
            self.holders.leave(holders)
            self.counts.closed[stream.kind] += 1
        self.asking.forget(stream)
        self.wheel.drop(stream)

    def drain(self) -> None:
        """Let every stream and every watch end; new ones are refused, or end at once."""
        self.draining = True
        for stream in tuple(self.streams):
            stream.drain()
        for watch in self._watches:
            watch.drain()

    @asynccontextmanager
    async def watch(self, request_id: str, *, active: bool = True) -> AsyncIterator[Watch]:
        """Watch one job for the length of the block; what the store says comes first. Raises StoreUnavailable."""
        watch = Watch(active=active)
        if self.draining:
            watch.drain()
        self._watches.add(watch)
        topics = Topics()
        try:
            topics, states = await self.join(watch, Names(jobs=(request_id,)))
            for state in states:
                watch.push(state)
            yield watch
        finally:
            self._watches.discard(watch)
            self.leave(watch, topics)

    async def _read(self, names: Names, caller: Caller) -> list[State]:
        assert self._store is not None  # noqa: S101
        if len(names.jobs) == 1 and not names.groups:
            job = await self._store.get(names.jobs[0])
            return [] if job is None else [self._encode(job)]
        found: dict[str, State] = {}
        for group in names.groups:  # encoded one group at a time, so that others get their turn in between
            for job in await self._store.of_group(group, GROUP_STATES, caller):
                found[job.request_id] = self._encode(job)
        for job in (await self._store.get_many(names.jobs)).values():
            found[job.request_id] = self._encode(job)
        return list(found.values())

    def _encode(self, job: Job) -> State:
        """Streams that join together share the bytes, too."""
        shared = self._shared.get(job.request_id)
        if shared is not None and shared.version == job.version:
            return shared
        state = encode(job)
        if len(state.body) <= SHARED_BYTES:
            self._shared[job.request_id] = state
            if len(self._shared) > SHARED_STATES:
                del self._shared[next(iter(self._shared))]
        return state

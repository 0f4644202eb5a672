"""Bring a subscriber up to date: subscribe on the bus → read the store → go live, dropping what is not newer."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from hookcast.auth import EVERYBODY, Caller
from hookcast.bus import Bus
from hookcast.jobs import Job
from hookcast.push.admission import Admission
from hookcast.push.hub import Hub, Names, Subscriber, Topics
from hookcast.push.watch import Watch
from hookcast.store import JobStore
from hookcast.wire import State, encode

GROUP_STATES = 1000  # initial states per group, of the most recently changed jobs
SHARED_STATES = 256
SHARED_BYTES = 16 * 1024


class Joined(NamedTuple):
    """The topics joined, and their initial states (never older than what was pushed to the subscriber since)."""

    topics: Topics
    states: list[State]


class Encoder:
    """Encodes jobs so that streams that open together share the bytes."""

    def __init__(self) -> None:
        self._shared: dict[str, State] = {}

    def __call__(self, job: Job) -> State:
        """Return the job's state: for the same version the same object, while it is among the recent small ones."""
        shared = self._shared.get(job.request_id)
        if shared is not None and shared.version == job.version:
            return shared
        state = encode(job)
        if len(state.body) <= SHARED_BYTES:
            self._shared[job.request_id] = state
            if len(self._shared) > SHARED_STATES:
                del self._shared[next(iter(self._shared))]
        return state


class Subscriptions:
    """Connects subscribers to the hub, bus and store of one node. `resynced` counts jobs the bus did not deliver."""

    def __init__(self, hub: Hub, store: JobStore, bus: Bus, admission: Admission) -> None:
        self.resynced = 0
        self._hub = hub
        self._store = store
        self._bus = bus
        self._admission = admission
        self._encode = Encoder()

    async def permitted(self, caller: Caller, names: Names) -> Names:
        """Return the names that the caller may watch. Raises StoreUnavailable.

        A job that the caller's token names may be watched before it exists. Any other job must exist, since access to
        it depends on its owner and group: a hidden job looks like a missing one. Of a group that the token does not
        name, the stream shows only the caller's own jobs.
        """
        if caller.full:
            return names
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
        """Subscribe, and read the states the caller may see. Raises StoreUnavailable, then nothing is subscribed."""
        topics = self._hub.join(subscriber, names)
        try:
            await self._bus.subscribe(topics.channels)
            states = await self._read(names, caller)
        except BaseException:
            self.leave(subscriber, topics)
            raise
        return Joined(topics, [state for state in states if self._hub.deliver(state, skip=subscriber)])

    def leave(self, subscriber: Subscriber, topics: Topics) -> None:
        """Unsubscribe, also on the bus from channels that have no subscriber left on this node."""
        channels = self._hub.leave(subscriber, topics).channels
        if channels:
            self._bus.unsubscribe(channels)

    def tell(self, job: Job) -> None:
        """Deliver a job read from the store to subscribers that have an older version."""
        self.resynced += 1
        self._hub.deliver(self._encode(job))

    @asynccontextmanager
    async def watch(self, request_id: str, holders: tuple[str, ...] = ()) -> AsyncIterator[Watch]:
        """Watch one job for a long poll, starting with its state in the store. Raises StoreUnavailable.

        A long poll takes a place as a stream does: raises TooManyStreams and TooManyStreamsOfClient.
        """
        watch, topics = Watch(active=True), Topics()
        with self._admission.polling(watch, holders):
            try:
                topics, states = await self.join(watch, Names(jobs=(request_id,)))
                for state in states:
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

    async def _read(self, names: Names, caller: Caller) -> list[State]:
        if len(names.jobs) == 1 and not names.groups:
            job = await self._store.get(names.jobs[0])
            return [] if job is None else [self._encode(job)]
        found: dict[str, State] = {}
        for group in names.groups:  # encode one group at a time, so that other tasks run in between
            for job in await self._store.of_group(group, GROUP_STATES, caller):
                found[job.request_id] = self._encode(job)
        for job in (await self._store.get_many(names.jobs)).values():
            found[job.request_id] = self._encode(job)
        return list(found.values())

"""States shared by all streams of a node, bounded in bytes: recent states, and large states that are being read."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager

from hookcast.jobs import Job
from hookcast.wire import Show, State, encode

KEPT_BYTES = 8 * 1024 * 1024
TURN_BYTES = 16 * 1024 * 1024
LINKS_SECONDS = 10.0  # far less than half the life of a link, with which each is made
LINKED_JOBS = 20_000


def cost(body: int) -> int:
    """Return the bytes that a state with a body of this size takes: its JSON, and a frame that contains it."""
    return 2 * body


class Kept:
    """States by key. To make room for a new one the oldest are dropped; the newest is kept whatever its size."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.size = 0
        self._limit = limit
        self._states: OrderedDict[Hashable, State] = OrderedDict()

    def get(self, key: Hashable) -> State | None:
        """Return the state, if it is kept."""
        return self._states.get(key)

    def put(self, key: Hashable, state: State) -> None:
        """Keep the state in place of what has this key."""
        self.drop(key)
        self._states[key] = state
        self.size += cost(len(state.body))
        while self.size > self._limit and len(self._states) > 1:
            self.drop(next(iter(self._states)))

    def drop(self, key: Hashable) -> None:
        """Forget the state. Idempotent."""
        state = self._states.pop(key, None)
        if state is not None:
            self.size -= cost(len(state.body))


class Recent:
    """The states that readers wait for. Streams hold names and versions; the bytes are here, once.

    Of each job the newest state is kept, and also those that were sent in part.
    """

    def __init__(self, show: Show = encode, clock: Callable[[], float] = time.monotonic) -> None:
        self._show = show
        self._clock = clock
        self._newest = Kept()
        self._partial = Kept()
        self._good: set[str] = set()  # jobs whose state was encoded here since `_good_since`
        self._good_since = clock()

    def encode(self, job: Job) -> State:
        """Return the job's state: for the same version the same object, so that streams share its bytes.

        Links to kept files may expire: a state with links is made again after LINKS_SECONDS.
        """
        good, known = self._lately(), self._newest.get(job.request_id)
        lasting = job.request_id in good or not (job.media and job.status.terminal)
        if known is None or known.version != job.version or not lasting:
            known = self._show(job)
            self.put(known)
        good.add(job.request_id)
        return known

    def at_hand(self, versions: Mapping[str, int]) -> list[State]:
        """Return the states that are kept of these jobs, none older than its version, all with links that work.

        A version of 0 is unknown: its job must be read.
        """
        good = self._lately()
        named = ((name, version) for name, version in versions.items() if version and name in good)
        return [state for name, version in named if (state := self.get(name, version)) is not None]

    def _lately(self) -> set[str]:
        """Return the jobs whose state was encoded in the last LINKS_SECONDS."""
        now = self._clock()
        if now - self._good_since > LINKS_SECONDS or len(self._good) >= LINKED_JOBS:
            self._good, self._good_since = set(), now
        return self._good

    def put(self, state: State) -> None:
        """Keep the state, unless a newer one of its job is kept, or it would take half the room."""
        known = self._newest.get(state.request_id)
        if known is not None and known.version > state.version:
            return
        if cost(len(state.body)) <= KEPT_BYTES // 2:
            self._newest.put(state.request_id, state)
        else:
            self._newest.drop(state.request_id)

    def get(self, request_id: str, version: int) -> State | None:
        """Return the job's newest state if it is kept, and not older than `version`."""
        state = self._newest.get(request_id)
        return state if state is not None and state.version >= version else None

    def put_partial(self, state: State) -> None:
        """Keep a state that was sent in part."""
        self._partial.put((state.request_id, state.version), state)

    def get_partial(self, request_id: str, version: int) -> State | None:
        """Return the state that was sent in part, if it is kept."""
        return self._partial.get((request_id, version))


class Turns:
    """Bounds the bytes in use at a time. Beyond the limit, callers wait in order of arrival.

    A request that exceeds the limit by itself runs alone.
    """

    def __init__(self, limit: int = TURN_BYTES) -> None:
        self.size = 0
        self._limit = limit
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for room for `size` bytes, and hold it during the block."""
        if self._queue or not self._fits(size):
            await self._wait(size)
        else:
            self.size += size
        try:
            yield
        finally:
            self._give_back(size)

    async def _wait(self, size: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._give_back(size)
            raise

    def _fits(self, size: int) -> bool:
        return not self.size or self.size + size <= self._limit

    def _give_back(self, size: int) -> None:
        self.size -= size
        while self._queue and (self._queue[0][1].done() or self._fits(self._queue[0][0])):
            next_size, future = self._queue.popleft()
            if not future.done():
                self.size += next_size
                future.set_result(None)

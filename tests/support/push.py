"""A push engine without a network: a manual clock, an in-memory store, recording transports."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time as wall_time
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace
from websockets.protocol import CLIENT, Protocol

from hookcast.auth import EVERYBODY, Caller, Gate
from hookcast.bus import Bus, LocalBus
from hookcast.errors import StoreUnavailable
from hookcast.jobs import Job, JobStatus, unseen
from hookcast.journal import Notebook
from hookcast.push import Admission, Engine, Hub, Limits, Names, SseStream, WebSocketStream
from hookcast.push.subscriptions import Jobs
from hookcast.store import Outline
from hookcast.wire import LARGE_BYTES, State, encode, split_frames
from support.transports import FakeTransport

MOMENT = datetime(2026, 11, 23, tzinfo=UTC)


class Time:
    """A clock that only the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


def job(
    request_id: str = "job-1",
    version: int = 1,
    *,
    ended: bool = False,
    group: str | None = None,
    owner: str | None = None,
    pad: int = 0,
) -> Job:
    """Return a job as the store would, with `pad` bytes of fal's error body: it is shown whatever the status."""
    status = JobStatus.COMPLETED if ended else JobStatus.PENDING
    detail = Raw(b'"%b"' % (b"x" * pad)) if pad else None
    fresh = unseen(request_id, now=MOMENT)
    return replace(fresh, version=version, status=status, group=group, owner=owner, error_detail=detail)


def state(request_id: str = "job-1", version: int = 1, **facts: Any) -> State:
    """Return an encoded state of such a job."""
    return encode(job(request_id, version, **facts))


class MemoryStore:
    """Jobs by requestId. `hold` makes reads wait for `let_go`; `down` makes them fail.

    `asked` lists the reads of outlines, `read` those of whole jobs.
    """

    def __init__(self, *jobs: Job) -> None:
        self.jobs = {found.request_id: found for found in jobs}
        self.asked: list[str] = []
        self.read: list[str] = []
        self.down = False
        self.hold = False
        self.held: deque[asyncio.Future[None]] = deque()

    async def outline(self, request_id: str) -> Outline | None:
        """Return one job's outline."""
        self.asked.append(request_id)
        await self._answer()
        job = self.jobs.get(request_id)
        size = len(bytes(job.error_detail or b"")) if job is not None else 0
        if job is None or size <= LARGE_BYTES:
            return None if job is None else Outline(job, 0)
        return Outline(replace(job, error_detail=None), size)

    async def outlines(self, request_ids: Iterable[str]) -> list[Outline]:
        """Return the outlines of those that exist."""
        found = await asyncio.gather(*map(self.outline, request_ids))
        return [outline for outline in found if outline is not None]

    async def whole(self, request_id: str) -> Job | None:
        """Return one job."""
        await self._answer()
        self.read.append(request_id)
        return self.jobs.get(request_id)

    async def of_group(self, group: str, limit: int, seen_by: Caller = EVERYBODY) -> dict[str, int]:
        """Return a group's jobs that the caller may see."""
        await self._answer()
        found = [job for job in self.jobs.values() if job.group == group]
        return _versions([job for job in found if seen_by.sees(job.request_id, job.owner, job.group)][:limit])

    async def of_owner(self, owner: str, limit: int) -> dict[str, int]:
        """Return an owner's jobs."""
        await self._answer()
        return _versions([job for job in self.jobs.values() if job.owner == owner][:limit])

    async def written_since(self, moment: datetime, limit: int) -> dict[str, int]:
        """Return the jobs changed since."""
        await self._answer()
        return _versions([job for job in self.jobs.values() if job.updated_at >= moment][:limit])

    def let_go(self) -> None:
        """Complete the pending reads."""
        while self.held:
            self.held.popleft().set_result(None)

    async def _answer(self) -> None:
        if self.hold:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.held.append(future)
            await future
        if self.down:
            raise StoreUnavailable("The database is away.")


def _versions(jobs: Iterable[Job]) -> dict[str, int]:
    return {job.request_id: job.version for job in jobs}


class Watcher:
    """A subscriber that records the versions pushed to it."""

    active = True
    kind = "sse"

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.endings = 0

    def push(self, state: State, now: float, *, ended: bool) -> None:  # noqa: ARG002
        """Record the state."""
        self.got.append((state.request_id, state.version))
        self.endings += ended

    def push_many(self, states: Sequence[State], now: float, *, ended: bool) -> None:
        """Note them."""
        for state in states:
            self.push(state, now, ended=ended)

    @classmethod
    def push_to_all(cls, watchers: Iterable["Watcher"], state: State, now: float, *, ended: bool) -> None:
        """Record the state with each."""
        for watcher in watchers:
            watcher.push(state, now, ended=ended)


def make_engine(
    store: Jobs | None = None, bus: Bus | None = None, *, time: Callable[[], float] | None = None, **limits: Any
) -> Engine:
    """Create an engine without running it. Default store: no jobs; default bus: the local one."""
    admission = Admission(Limits(**limits), time or Time())
    hub = Hub(admission.clock)
    notebook = Notebook(lambda: MOMENT)
    return Engine(admission, hub, store or MemoryStore(), bus or LocalBus(hub.deliver), Gate(wall_time), notebook)


@asynccontextmanager
async def running_engine(
    *jobs: Job, time: Time | None = None, **limits: Any
) -> AsyncIterator[tuple[Engine, MemoryStore]]:
    """Run an engine on a store with these jobs."""
    store = MemoryStore(*jobs)
    engine = make_engine(store, time=time, **limits)
    async with asyncio.timeout(60), engine.running():
        yield engine, store


async def open_events(
    engine: Engine, *jobs: str, groups: tuple[str, ...] = (), stuck: bool = False
) -> tuple[SseStream, FakeTransport]:
    """Open an SSE stream of these jobs and groups."""
    stream, transport = SseStream(engine), FakeTransport(stuck=stuck)
    transport.protocol = stream
    with engine.admission.opening(stream):
        await stream.join(Names(jobs, groups))
        stream.begin(transport, b"")
    return stream, transport


def open_socket(engine: Engine, *, stuck: bool = False) -> tuple[WebSocketStream, FakeTransport]:
    """Open a WebSocket without subscriptions."""
    socket, transport = WebSocketStream(engine), FakeTransport(stuck=stuck)
    transport.protocol = socket
    with engine.admission.opening(socket):
        socket.begin(transport)
    return socket, transport


async def settle() -> None:
    """Run the event loop until everything that needs no timer has happened."""
    for _ in range(500):
        await asyncio.sleep(0)


def nothing_left(engine: Engine) -> bool:
    """Return whether no stream, topic or timer is left."""
    return not (engine.admission.streams or len(engine.hub) or len(engine.wheel))


def sse_versions(data: bytes | bytearray) -> list[int]:
    """Return the versions of the `job` events."""
    return [int(found) for found in re.findall(rb"(?m)^id: (\d+)\nevent: job$", data)]


def ws_messages(data: bytes | bytearray) -> list[Any]:
    """Decode a server's frames: JSON, or (code, reason) of a close."""
    return [
        (int.from_bytes(payload[:2]), payload[2:].decode()) if opcode == 8 else msgspec.json.decode(payload)
        for opcode, payload in split_frames(bytes(data))
    ]


def client_frames(*messages: object, close: int | None = None) -> bytes:
    """Encode these messages as a browser would."""
    client = Protocol(CLIENT)
    for message in messages:
        client.send_text(msgspec.json.encode(message))
    if close is not None:
        client.send_close(close)
    return b"".join(client.data_to_send())

"""The emulator's background work: one task per job, all owned by the application's lifespan."""

import asyncio
import hashlib
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from hookcast.emulator.queue import Job, Jobs
from hookcast.emulator.webhooks import LATER_DEADLINE_SECONDS, Keys, Sleep, Webhooks
from hookcast.errors import Draining, Unavailable
from hookcast.outgoing import tls_context

MAX_RUNNING = 10_000
MAX_CONNECTIONS = 100
KEPT_INPUTS = 1000


class QueueFull(Unavailable):
    """Too many jobs are running or retrying their webhook; 429, as fal answers excess requests."""

    status = 429


@dataclass(slots=True)
class Emulator:
    """The jobs, the keys and, inside `running`, the tasks. Use it in one event loop."""

    speed: float
    keys: Keys
    sleep: Sleep = asyncio.sleep
    tls: ssl.SSLContext = field(default_factory=tls_context)
    max_running: int = MAX_RUNNING
    jobs: Jobs = field(default_factory=Jobs)
    closing: bool = True
    _inputs: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _group: asyncio.TaskGroup | None = None
    _webhooks: Webhooks | None = None

    @asynccontextmanager
    async def running(
        self,
        *,
        transport: httpx.AsyncBaseTransport | None,
        now: Callable[[], float],
    ) -> AsyncIterator[None]:
        """Own the tasks of all jobs, and cancel them on exit, whatever they are waiting for."""
        client = httpx.AsyncClient(
            transport=transport,
            timeout=LATER_DEADLINE_SECONDS,  # each attempt has its own, tighter deadline
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            trust_env=False,  # never send loopback traffic through a proxy
            verify=self.tls,
        )
        async with client, asyncio.TaskGroup() as group:
            self._webhooks = Webhooks(client, self.keys, sleep=self.sleep, now=now)
            self._group = group
            self.closing = False
            try:
                yield
            finally:
                self.close()
                self._group = None
                for task in self._tasks:
                    task.cancel()

    def first(self, body: bytes) -> bool:
        """Return whether this input is not among the last `KEPT_INPUTS` that were asked about, and remember it."""
        digest = hashlib.sha256(body).digest()
        known = digest in self._inputs
        self._inputs[digest] = None
        if len(self._inputs) > KEPT_INPUTS:
            self._inputs.popitem(last=False)
        return not known

    def start(self, job: Job) -> None:
        """Start the job. Raises QueueFull, and Draining when the emulator is shutting down."""
        if self._group is None or self._webhooks is None or self.closing:
            raise Draining("The emulator is not running.")
        if len(self._tasks) >= self.max_running:
            raise QueueFull("The emulator has as many jobs as it can run; try again later.")
        self.jobs.add(job)
        task = self._group.create_task(self._run(job, self._webhooks))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Accept no more jobs, and end the open status streams. Call it in the event loop's thread."""
        self.closing = True
        self.jobs.wake_all()

    async def idle(self) -> None:
        """Wait until every job has ended and its webhook is delivered or given up."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, job: Job, webhooks: Webhooks) -> None:
        await job.wait_until_end()
        self.jobs.ended(job)
        await webhooks.deliver(job, wanted=lambda: self.jobs.holds(job))

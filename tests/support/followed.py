"""A follower between fal's double and a store."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from msgspec import json

from hookcast.bus import Condition
from hookcast.dispatcher import Dispatcher
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Job, Registered, Update
from hookcast.journal import Notebook
from hookcast.push import Engine
from hookcast.store import open_store
from hookcast.upkeep.asking import Asking
from hookcast.upkeep.collector import Collector
from hookcast.upkeep.follower import Follower
from hookcast.upkeep.leases import LeaseKeeper
from hookcast.wire import State
from support.fakes import Outage, Sleeper, tasks_of_the_server
from support.fal import ENDPOINT, QUEUE, FalDouble, LiveStream
from support.following import OpenKeeper, SilentEngine
from support.server import until
from support.working import collecting

STREAM = "/status/stream"
STATUS = "/requests/job-1/status"


def queued(position: int) -> dict[str, Any]:
    """A status of fal's."""
    return {"status": "IN_QUEUE", "queue_position": position}


def running(*lines: str) -> dict[str, Any]:
    """Another one, with new log lines."""
    return {"status": "IN_PROGRESS", "logs": [{"message": line, "timestamp": line} for line in lines]}


class OpenBus:
    """Keeps every state that is published."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    condition: Condition = "ok"

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Everything is kept anyway."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Still everything."""

    async def publish(self, state: State) -> None:
        """Keep it."""
        self.states.append(json.decode(state.body))


class World:
    """A follower between fal's double and a store; one job, `job-1`."""

    def __init__(self, outage: Outage, client: httpx.AsyncClient, fal: FalDouble) -> None:
        self.outage = outage
        self.fal = fal
        self.fal.script(STATUS, httpx.ConnectError("cut"))
        self.sleep = Sleeper()
        self.passed: list[float] = []  # the seconds that the collector waited
        self.bus = OpenBus()
        self.dispatcher = Dispatcher(outage.store, self.bus, lambda: datetime.now(UTC))
        fal_queue = FalQueue(client, QUEUE, "key", sleep=Sleeper(free=True))
        self.now = datetime.now(UTC)
        asking = Asking(fal_queue, lambda: self.now, Notebook(lambda: self.now))
        self.collector = Collector(outage.store, self.dispatcher, asking, clock=lambda: self.now)
        self.engine = SilentEngine()
        self.follower = Follower(
            store=outage.store,
            engine=cast("Engine", self.engine),
            dispatcher=self.dispatcher,
            fal=asking,
            keeper=cast("LeaseKeeper", OpenKeeper()),
            sleep=self.sleep,
        )

    async def report(self, update: Update) -> Job:
        """Change the job from elsewhere."""
        return (await self.dispatcher.apply("job-1", update)).after

    async def live(self) -> LiveStream:
        """Begin to watch; answers fal's open stream."""
        stream = LiveStream()
        self.fal.script(STREAM, stream)
        self.engine.hub.interest.tell("job-1", watched=True)
        await until(lambda: stream.opened)
        return stream

    @property
    def opened(self) -> int:
        """How often fal's stream was asked for."""
        return len(self.fal.asked(STREAM))

    @property
    def reopenings(self) -> list[float]:
        """The pauses before it was opened again."""
        return [pause for pause in self.sleep.pauses if pause != 0.2]


@asynccontextmanager
async def _fetching(world: World, url: str) -> AsyncIterator[World]:
    async with collecting(url, world.collector, world.dispatcher, world.passed.append):
        yield world


@asynccontextmanager
async def following(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A running follower whose job is registered. At the end no task of it may be left."""
    async with (
        open_store(database_url) as store,
        httpx.AsyncClient(transport=fal) as client,
        _fetching(World(Outage(store), client, fal), database_url) as made,
    ):
        owned = [asyncio.ensure_future(made.follower.run())]
        await made.dispatcher.register("job-1", Registered(endpoint_id=ENDPOINT))
        made.bus.states.clear()
        resting = tasks_of_the_server()
        try:
            yield made
            made.engine.hub.interest.tell("job-1", watched=False)
            made.sleep.wake()
            await until(lambda: tasks_of_the_server() <= resting)
        finally:
            for task in owned:
                task.cancel()
            await asyncio.wait(owned)

"""One status stream a watched job across all nodes, whichever of them dies."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from support.chaos import Chaos, sized
from support.fal import ENDPOINT
from support.falhost import running_falhost
from support.sender import Sender, outcomes, verify
from support.served import Served, running_served
from support.upstreams import Upstreams
from support.watchers import Ledger, Watcher, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
JOBS = sized(20, 200)
DEATHS = sized(1, 6)
HANGS = sized(0, 3)
RATE = 200
NODES = ("one", "two")
TAKEN_OVER_SECONDS = 20.0
PATIENCE = 0.1


async def _followed(upstreams: Upstreams, names: list[str], *, without: str = "") -> float:
    """Wait until it is so; answers how long that took."""
    clock = asyncio.get_running_loop().time
    began = clock()
    while not upstreams.followed_by_one(names, without=without):  # noqa: ASYNC110 - what other processes do
        await asyncio.sleep(0.02)
    return clock() - began


class _Fal:
    """What it takes to let nodes follow jobs, and to see them do so."""

    def __init__(self) -> None:
        self.upstreams = Upstreams()
        self.took: list[float] = []
        self.nodes: dict[str, Served] = {}

    async def die(self, names: list[str]) -> None:
        """The node that follows most jobs is killed, the other one takes over, and it comes back."""
        dying = self.upstreams.busiest()
        await self.nodes[dying].kill()
        self.took.append(await _followed(self.upstreams, names, without=dying))
        await self.nodes[dying].start()

    async def hang(self, names: list[str]) -> None:
        """The node that follows most jobs is frozen, the other one takes over, and it goes on: it gives way."""
        hanging = self.upstreams.busiest()
        self.nodes[hanging].freeze()
        self.took.append(await _followed(self.upstreams, names, without=hanging))
        self.nodes[hanging].thaw()
        await _followed(self.upstreams, names)


@asynccontextmanager
async def _following(chaos: Chaos, database: str) -> AsyncIterator[_Fal]:
    """Two nodes, each with a fal address of its own."""
    found = _Fal()
    async with running_falhost(chaos.key, found.upstreams.answer) as fal, AsyncExitStack() as stack:
        for name in NODES:
            own = {"fal_queue_url": f"{fal['fal_queue_url']}/{name}", "fal_jwks_url": fal["fal_jwks_url"]}
            settings = {"database_url": database, "fal_key": "any", **own}
            (found.nodes[name],) = await stack.enter_async_context(running_served(chaos.folder, settings))
        yield found


async def test_a_node_that_dies_leaves_its_jobs_to_the_others(chaos: Chaos, postgres_url: str) -> None:
    """Each job is watched at both nodes: fal has one stream of it open, never two, and soon again after each death."""
    ledger = Ledger()
    ended = outcomes((f"job-{number}" for number in range(JOBS)), chaos.random)
    names = [outcome.name for outcome in ended]
    facts = json.dumps({"endpointId": ENDPOINT}).encode()
    async with asyncio.timeout(DEADLINE), _following(chaos, postgres_url) as fal:
        ports = [node.port for node in fal.nodes.values()]
        for name in names:
            assert (await chaos.web.settled(ports[0], "PUT", f"/api/fal-jobs/{name}", body=facts))[0] in {200, 201}
        watchers = [
            Watcher([name], [port], ledger, chaos.random, patience=PATIENCE) for name in names for port in ports
        ]
        sender = Sender(chaos.key, ports, chaos.random, chaos.web)
        async with watching(watchers) as running:
            await _followed(fal.upstreams, names)
            for _ in range(DEATHS):
                await fal.die(names)
            most = fal.upstreams.most
            for _ in range(HANGS):
                await fal.hang(names)
            await sender.load(ended, RATE)
            await running.ended()
        problems = await verify(chaos.web, ports, ended, ledger, versions=lambda name: ledger.ends.get(name, 0))
        while any(fal.upstreams.readers.values()):  # noqa: ASYNC110 - the nodes close them
            await asyncio.sleep(0.02)
        complaints = [line for node in fal.nodes.values() for line in node.complaints()]
    chaos.note(f"  {JOBS} jobs, {fal.upstreams.opened} streams, at most {most} of a job, {fal.upstreams.polls} polls")
    chaos.note(f"  taken over within {', '.join(f'{seconds:.1f}' for seconds in fal.took)} s")
    assert problems == []
    assert complaints == []
    assert most == 1
    assert max(fal.took) <= TAKEN_OVER_SECONDS

"""Submit while the database goes away at the worst moment: fal has taken the request, and it cannot be stored."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import NoReturn

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hookcast import outcomes, problems, submitter
from hookcast.bus import LocalBus
from hookcast.dispatcher import Dispatcher
from hookcast.errors import HookcastError, NotStorable, StoreUnavailable
from hookcast.fal.keys import FalKeys
from hookcast.fal.queue import FalQueue
from hookcast.journal import Notebook, Refusals
from hookcast.outcomes import EVERY_SECONDS, MAX_PAUSE_SECONDS, Outcomes
from hookcast.routes import submit
from hookcast.routes.bodies import CALLERS, STRANGERS, Bodies
from hookcast.routes.services import Node, Services
from hookcast.settings import Settings
from hookcast.store import Intent, JobStore, open_store
from hookcast.store.submits import Submits
from hookcast.submitter import Submitter
from hookcast.upkeep.readiness import Readiness
from hookcast.upkeep.scribe import Scribe
from support.fakes import Outage, Sleeper
from support.fal import ENDPOINT, JWKS, QUEUE, FalDouble
from support.push import make_engine
from support.server import until

pytestmark = pytest.mark.anyio


def _now() -> datetime:
    return datetime.now(UTC)


class TakingFal(FalDouble):
    """Takes every submit under a new id; the database goes away as soon as it has."""

    def __init__(self, outage: Outage) -> None:
        super().__init__()
        self.outage = outage
        self.breaks = True
        self.rejects = False
        self._ids = count(1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's way in."""
        await super().handle_async_request(request)
        self.outage.down = self.breaks
        if self.rejects:
            return httpx.Response(422, json={"detail": "prompt is too long"})
        return httpx.Response(200, json={"request_id": f"job-{next(self._ids)}"})


class World:
    """The submit route over a store that can go away."""

    def __init__(self, outage: Outage, fal: TakingFal, client: httpx.AsyncClient) -> None:
        self.outage = outage
        self.fal = fal
        self.pauses = Sleeper(free=True)
        bus = LocalBus(lambda _: None)
        dispatcher = Dispatcher(outage.store, bus, _now)
        queue = FalQueue(client, QUEUE, "key", sleep=Sleeper(free=True))
        keys = FalKeys(client, JWKS, outage.store, _now)
        self.node = Services(
            settings=Settings(public_url="https://hookcast.example"),
            clock=_now,
            store=outage.store,
            bus=bus,
            engine=make_engine(outage.store),
            dispatcher=dispatcher,
            submitter=Submitter(
                outage.store,
                dispatcher,
                Outcomes(outage.store, dispatcher, sleep=self.pauses),
                queue,
                webhook_url="https://hookcast.example/api/webhooks/fal",
                clock=_now,
                notebook=Notebook(_now),
            ),
            keys=keys,
            queue=queue,
            asking=None,
            scribe=Scribe(outage.store, Notebook(_now), Refusals(_now)),
            readiness=Readiness(outage.store, keys),
            webhooks=Bodies(1024, STRANGERS),
            uploads=Bodies(1024, CALLERS),
        )
        routes = [Route("/api/fal-jobs", submit.submit, methods=["POST"])]
        app = Starlette(routes=routes, exception_handlers={HookcastError: problems.on_error})

        async def with_services(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {"node": Node(_now, self.node)}}, receive, send)

        self.web = httpx.AsyncClient(transport=httpx.ASGITransport(with_services), base_url="http://hookcast.test")

    async def submit(self, key: str | None) -> httpx.Response:
        """Submit a job."""
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"endpointId": ENDPOINT, "input": {}, "owner": "user-1"}
        return await self.web.post("/api/fal-jobs", json=body, headers=headers)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    """The route, its fal and its store."""
    async with open_store(database_url) as store:
        fal = TakingFal(outage := Outage(store))
        async with httpx.AsyncClient(transport=fal) as client:
            yield World(outage, fal, client)


async def test_a_key_that_fal_took_is_not_submitted_twice(world: World) -> None:
    """The first answer names the request; the next one with the same key is that very job."""
    lost = await world.submit("k")
    assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
    assert "job-1" in lost.json()["detail"]
    still_away = await world.submit("k")
    assert still_away.status_code == 503
    world.outage.down = False
    found = await world.submit("k")
    assert (found.status_code, found.json()["requestId"]) == (202, "job-1")
    assert found.json()["job"]["owner"] == "user-1"
    assert len(world.fal.requests) == 1
    assert (await world.submit("k")).json()["requestId"] == "job-1"


@pytest.mark.parametrize("key", ["k", None])
async def test_what_fal_took_is_stored_when_the_database_is_back(world: World, key: str | None) -> None:
    """By the server itself: its client may never come back."""
    assert "job-1" in (await world.submit(key)).json()["detail"]
    storing = asyncio.create_task(world.node.submitter.outcomes.run())
    await until(lambda: len(world.pauses.pauses) > 2)
    assert len(world.node.submitter.outcomes.unstored) == 1
    world.outage.down = False
    await until(lambda: not world.node.submitter.outcomes.unstored)
    storing.cancel()
    job = await world.outage.store.get("job-1")
    assert job is not None
    assert (job.owner, job.endpoint_id) == ("user-1", ENDPOINT)
    pauses = world.pauses.pauses
    assert pauses[0] <= EVERY_SECONDS < pauses[2] <= MAX_PAUSE_SECONDS


async def test_a_key_that_fal_rejected_is_freed_when_the_database_is_back(world: World) -> None:
    """Its answer is what fal said."""
    world.fal.rejects = True
    assert (await world.submit("k")).json()["code"] == "fal_rejected"
    world.outage.down = world.fal.breaks = world.fal.rejects = False
    assert (await world.submit("k")).json()["requestId"] == "job-1"


async def test_what_can_never_be_stored_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be tried for ever; its webhook still finds the intent."""

    async def refused(*_: object, **__: object) -> NoReturn:
        raise NotStorable("A value is out of range.")

    await world.submit("k")
    world.outage.down = False
    monkeypatch.setattr(JobStore, "change", refused)
    storing = asyncio.create_task(world.node.submitter.outcomes.run())
    await until(lambda: not world.node.submitter.outcomes.unstored)
    storing.cancel()


@pytest.mark.parametrize("waits", [False, True], ids=["asked again", "by itself"])
async def test_an_intent_whose_commit_was_not_heard_of_takes_no_key(
    world: World, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """fal was not asked, so the key is not in the dark."""
    begin = Submits.begin

    async def unheard(self: Submits, intent: Intent, *, again: bool) -> NoReturn:
        await begin(self, intent, again=again)
        raise StoreUnavailable("The answer came too late.")

    world.fal.breaks = False
    monkeypatch.setattr(Submits, "begin", unheard)
    assert (await world.submit("k")).status_code == 503
    monkeypatch.setattr(Submits, "begin", begin)
    assert (world.fal.requests, len(world.node.submitter.outcomes.untaken)) == ([], 1)
    if waits:
        freeing = asyncio.create_task(world.node.submitter.outcomes.run())
        await until(lambda: not world.node.submitter.outcomes.untaken)
        freeing.cancel()
    assert (await world.submit("k")).json()["requestId"] == "job-1"
    assert world.node.submitter.outcomes.untaken == {}


async def test_what_a_retry_stores_first_stops_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client comes back in the very moment in which the server begins to store the job by itself."""
    kept = world.node.submitter.outcomes

    async def sleep(_: float) -> None:
        asyncio.get_running_loop().call_soon(kept.unstored.clear)

    await world.submit("k")
    world.outage.down = False
    monkeypatch.setattr(kept, "_sleep", sleep)
    storing = asyncio.create_task(kept.run())
    while await world.outage.store.get("job-1") is None:
        assert not storing.done()
    storing.cancel()


async def test_keys_to_free_do_not_pile_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage may be long, and has as many submits as clients try."""
    monkeypatch.setattr(outcomes, "MAX_UNTAKEN", 3)
    world.outage.down = True
    for number in range(5):
        assert (await world.submit(f"k-{number}")).status_code == 503
    assert len(world.node.submitter.outcomes.untaken) == 3
    assert world.fal.requests == []


async def test_what_fal_took_does_not_pile_up(world: World) -> None:
    """While the database is away fal is not asked; each key is its job once it is back."""
    world.fal.gate.clear()
    under_way = [asyncio.ensure_future(world.submit(f"first-{number}")) for number in range(20)]
    await until(lambda: len(world.fal.requests) == 20)
    world.fal.gate.set()
    assert {(await answer).status_code for answer in under_way} == {503}
    assert len(world.node.submitter.outcomes.unstored) == 20
    assert {(await world.submit(f"second-{number}")).status_code for number in range(20)} == {503}
    assert (len(world.fal.requests), len(world.node.submitter.outcomes.unstored)) == (20, 20)
    world.outage.down = world.fal.breaks = False
    again = [await world.submit(f"first-{number}") for number in range(20)]
    assert {answer.status_code for answer in again} == {202}
    assert len({answer.json()["requestId"] for answer in again}) == 20
    assert world.node.submitter.outcomes.unstored == {}
    assert len(world.fal.requests) == 20


async def test_who_waits_for_the_same_key_does_not_wait_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """409 after the time of one submit; the lock goes with its last user."""
    monkeypatch.setattr(submitter, "TURN_SECONDS", 0.01)
    world.fal.breaks = False
    world.fal.gate.clear()
    first = asyncio.ensure_future(world.submit("k"))
    await until(lambda: world.fal.requests)
    second = await world.submit("k")
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
    world.fal.gate.set()
    assert (await first).json()["requestId"] == "job-1"
    assert (await world.submit("k")).json()["requestId"] == "job-1"
    await until(lambda: len(world.node.submitter.turns) == 0)

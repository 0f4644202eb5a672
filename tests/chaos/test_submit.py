"""Servers killed at every step of a submit: nothing is charged twice, and every job is found by its owner."""

import asyncio
import json
import resource
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from support.chaos import Chaos, sized
from support.fal import ENDPOINT, sign
from support.falhost import running_falhost
from support.postgres import Postgres
from support.proxy import Proxy, running_proxy
from support.sender import Outcome
from support.served import Served, running_served
from support.web import NETWORK

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
ROUNDS = 5
KILLS = sized(1, 40)
AT_ONCE = sized(10, 30)
LONGEST_LIFE = sized(0.5, 1.0)
FULL_TIMES = sized(1, 10)
FULL_BYTES = 64 * 1024  # the database and its log are longer
PAST = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = count(1)


class Fal:
    """fal's queue: takes each submit, and answers it at once or not before it is told to."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[tuple[str, str]]] = defaultdict(list)  # by submit: requestId and webhook URL
        self.answers = asyncio.Event()
        self.answers.set()

    async def answer(self, request: Request) -> Response:
        """Take a submit; of anything else fal says nothing that counts."""
        if request.method != "POST":
            return JSONResponse({"status": "IN_QUEUE", "queue_position": 1}, 202)
        name, wish = f"job-{next(_numbers)}", json.loads(await request.body())["wish"]
        self.jobs[wish].append((name, request.query_params["fal_webhook"]))
        await self.answers.wait()
        return JSONResponse({"request_id": name, "response_url": f"http://127.0.0.1/{name}"})


class Shop:
    """A node that is killed, its clients, and its fal."""

    def __init__(self, chaos: Chaos, node: Served, fal: Fal, pass_time: Callable[[], Awaitable[None]]) -> None:
        self.fal = fal
        self.answers: Counter[str] = Counter()
        self._chaos = chaos
        self._node = node
        self._pass_time = pass_time

    async def submit(self, wish: str, *, key: bool = True, again: bool = False, port: int | None = None) -> int:
        """Submit once; the answer's status, 0 = none. Each wish is of an owner, and has a key, of its own."""
        body = {"endpointId": ENDPOINT, "input": {"wish": wish}, "owner": wish, "metadata": {"wish": wish}}
        headers = {"Idempotency-Key": wish} if key else {}
        if again:
            headers["Idempotency-Retry"] = "yes"
        try:
            status, answer = await self._chaos.web.request(
                port or self._node.port, "POST", "/api/fal-jobs", headers=headers, body=json.dumps(body).encode()
            )
        except NETWORK:
            return 0
        said = json.loads(answer)
        self.answers[f"{status} {said.get('code', 'accepted')}"] += 1
        if status == 202:
            assert said["job"]["owner"] == wish
            assert said["requestId"] in {name for name, _ in self.fal.jobs[wish]}
        return status

    async def restart(self) -> None:
        """Kill the node, and start it again."""
        await self._node.kill()
        await self._chaos.web.close()
        await self._node.start()

    async def settle(self, wish: str) -> None:
        """Do as the documentation says after a submit with a key that was not answered: in the end there is one job."""
        if await self.submit(wish) == 409:
            await self._pass_time()
            asked = len(self.fal.jobs[wish])
            assert await self.submit(wish) == 409
            assert len(self.fal.jobs[wish]) == asked
            if not asked:
                assert await self.submit(wish, again=True) == 202
        await self.deliver(wish)
        assert await self.submit(wish) == 202
        assert len(self.fal.jobs[wish]) == 1

    async def deliver(self, wish: str) -> None:
        """Send the webhooks of what fal has taken, and look for the jobs as their owner does."""
        names = {name for name, _ in self.fal.jobs[wish]}
        for name, url in self.fal.jobs[wish]:
            address, body = urlsplit(url), Outcome(name, 1).webhook()
            path, headers = f"{address.path}?{address.query}", sign(body, self._chaos.key, request_id=name)
            status, _ = await self._chaos.web.request(self._node.port, "POST", path, headers=headers, body=body)
            assert status == 200
        _, answer = await self._chaos.web.request(self._node.port, "GET", f"/api/fal-jobs?owner={wish}")
        found: list[dict[str, Any]] = json.loads(answer)["jobs"]
        assert {(job["requestId"], job["status"], job["metadata"]["wish"]) for job in found} == {
            (name, "completed", wish) for name in names
        }

    def check(self) -> None:
        """Assert that nothing was charged twice, and that the log has no complaint."""
        assert {wish: taken for wish, taken in self.fal.jobs.items() if len(taken) > 1} == {}
        assert self._node.complaints() == []
        self._chaos.note(f"  {len(self.fal.jobs)} jobs, {dict(self.answers)}")


Step = Callable[[Proxy, Proxy, Proxy, Fal], Callable[[], bool]]
"""Prepares the moment of a kill on the ways to the database, to fal and to the client; returns whether it has come."""


def _at(way: Callable[[Proxy, Proxy, Proxy], Proxy], word: bytes) -> Step:
    def prepare(database: Proxy, fal: Proxy, client: Proxy, _: Fal) -> Callable[[], bool]:
        proxy = way(database, fal, client)
        proxy.stall_at(word)
        return lambda: proxy.stalled

    return prepare


def _before_the_answer(_database: Proxy, _to_fal: Proxy, _client: Proxy, fal: Fal) -> Callable[[], bool]:
    fal.answers.clear()
    before = len(fal.jobs)
    return lambda: len(fal.jobs) > before


STEPS: dict[str, Step] = {
    "after the intent": _at(lambda database, *_: database, b"ORDER BY hookcast.jobs.completed_at DESC"),
    "before fal's answer": _before_the_answer,
    "before the job's commit": _at(lambda database, *_: database, b"INSERT INTO hookcast.jobs"),
}
MORE_STEPS: dict[str, Step] = {
    "before the intent": _at(lambda database, *_: database, b"INSERT INTO hookcast.submits"),
    "before the intent's commit": _at(lambda database, *_: database, b"COMMIT;"),
    "before fal has heard": _at(lambda _database, fal, _client: fal, b"POST /"),
    "before fal's answer has arrived": _at(lambda _database, fal, _client: fal, b'"request_id"'),
    "after the job's commit": _at(lambda *ways: ways[2], b" 202 "),
}


async def test_a_server_killed_at_any_step_of_a_submit_loses_nothing_and_charges_once(
    chaos: Chaos, postgres: Postgres, postgres_url: str
) -> None:
    """The same key makes one job whenever the server died, and without a key the webhook finds the owner."""
    fal, steps = Fal(), sized([*STEPS.items()], [*(STEPS | MORE_STEPS).items()] * ROUNDS)

    async def pass_time() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("UPDATE hookcast.submits SET until = $1", PAST)
        await connection.close()

    async with asyncio.timeout(DEADLINE), AsyncExitStack() as stack:
        host = await stack.enter_async_context(running_falhost(chaos.key, fal.answer))
        database = await stack.enter_async_context(running_proxy(postgres.port))
        to_fal = await stack.enter_async_context(running_proxy(urlsplit(host["fal_queue_url"]).port or 0))
        way = postgres_url.replace(f":{postgres.port}/", f":{database.port}/")
        settings = {
            "database_url": f"{way}?pgbouncer=true",  # each statement passes with its text
            "fal_jwks_url": host["fal_jwks_url"],
            "fal_queue_url": to_fal.url,
            "fal_key": "any",
        }
        (node,) = await stack.enter_async_context(running_served(chaos.folder, settings))
        client = await stack.enter_async_context(running_proxy(node.port))
        shop = Shop(chaos, node, fal, pass_time)
        await node.healthy(chaos.web)
        for number, (name, prepare) in enumerate(steps):
            there = prepare(database, to_fal, client, fal)
            keyed, bare = f"key-{number}", f"bare-{number}"
            kinds = [(keyed, True), (bare, False)]
            asking = [asyncio.ensure_future(shop.submit(wish, key=key, port=client.port)) for wish, key in kinds]
            while not there():  # noqa: ASYNC110 - the proxies and fal of this event loop
                await asyncio.sleep(0.005)
            await _killed(shop, asking, database, to_fal, client)
            await shop.settle(keyed)
            await shop.deliver(bare)
            chaos.note(f"  killed {name}: {len(fal.jobs[keyed])} with a key, {len(fal.jobs[bare])} without")
    shop.check()


async def _killed(shop: Shop, asking: Sequence[asyncio.Future[int]], *ways: Proxy) -> None:
    """Kill the server and cut its connections while clients ask, and start it again."""
    killed = asyncio.ensure_future(shop.restart())
    await asyncio.sleep(0)
    for way in ways:
        way.cut()
    shop.fal.answers.set()
    await asyncio.gather(*asking)
    for way in ways:
        way.heal()
    await killed


async def _life(shop: Shop, random: Random, wishes: list[str]) -> None:
    """Submit all at moments of a life, and end that life at one of them."""
    ends = random.uniform(0.05, LONGEST_LIFE)

    async def one(wish: str) -> None:
        await asyncio.sleep(random.uniform(0, ends))
        await shop.submit(wish, key=wish.startswith("key"))

    asking = [asyncio.ensure_future(one(wish)) for wish in wishes]
    await asyncio.sleep(ends)
    await shop.restart()
    await asyncio.gather(*asking)


async def test_a_server_killed_at_random_while_it_submits_loses_nothing_and_charges_once(chaos: Chaos) -> None:
    """The same on SQLite, with many submits under way."""
    fal = Fal()
    file = chaos.folder / "hookcast.db"

    async def pass_time() -> None:
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(
                "UPDATE submits SET until = ?", (PAST.replace(tzinfo=None).isoformat(" ", "microseconds"),)
            )

    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key, fal.answer) as host:
        settings = {"database_url": f"sqlite:///{file}", "fal_key": "any", **host}
        async with running_served(chaos.folder, settings) as nodes:
            shop = Shop(chaos, nodes[0], fal, pass_time)
            await nodes[0].healthy(chaos.web)
            for number in range(KILLS):
                kinds = [chaos.random.choice(("key", "bare")) for _ in range(AT_ONCE)]
                wishes = [f"{kind}-{number}-{index}" for index, kind in enumerate(kinds)]
                await _life(shop, chaos.random, wishes)
                for wish in wishes:
                    await (shop.settle(wish) if wish.startswith("key") else shop.deliver(wish))
    shop.check()


async def test_a_full_disk_asks_nothing_of_fal(chaos: Chaos) -> None:
    """503 first; what fal took before there was no room is stored when there is again, and each key is one job."""
    fal = Fal()
    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key, fal.answer) as host:
        settings = {"database_url": f"sqlite:///{chaos.folder / 'hookcast.db'}", "fal_key": "any", **host}
        async with running_served(chaos.folder, settings) as (node,):
            shop = Shop(chaos, node, fal, _nothing)
            await node.healthy(chaos.web)
            for number in range(FULL_TIMES):
                fal.answers.clear()
                taken = [f"taken-{number}-{index}" for index in range(AT_ONCE)]
                asking = [asyncio.ensure_future(shop.submit(wish)) for wish in taken]
                while not all(fal.jobs[wish] for wish in taken):  # noqa: ASYNC110 - fal of this event loop
                    await asyncio.sleep(0.01)
                soft, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
                # The kernel's limit of a file's size is a disk that is full for one process.
                resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
                fal.answers.set()
                assert set(await asyncio.gather(*asking)) == {503}
                late = [f"late-{number}-{index}" for index in range(AT_ONCE)]
                assert {await shop.submit(wish, key=bool(index % 2)) for index, wish in enumerate(late)} == {503}
                assert not any(fal.jobs[wish] for wish in late)
                resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (soft, hard))
                for wish in taken + late:
                    assert await shop.submit(wish) == 202
                    await shop.deliver(wish)
    shop.check()


async def _nothing() -> None:
    return None

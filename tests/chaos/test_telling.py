"""The backend is told of every end, whatever becomes of it, and of the nodes that tell it."""

import asyncio
import json
from collections import Counter, defaultdict
from contextlib import suppress

import pytest

from hookcast.consequences import Kind
from hookcast.forward.schedule import RETRIES
from hookcast.store.database import open_database
from hookcast.store.work import WorkTable
from support.chaos import Chaos, sized
from support.fal import ENDPOINT, FalDouble, sign
from support.falhost import running_falhost
from support.ports import quiet_port
from support.receiver import HANG, SECRET, Delivery, Receiver, Status, running_receiver
from support.served import Served, running_served
from support.server import running_node
from support.telling import settled
from support.web import NETWORK
from support.working import hurry

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 3000))]
DEADLINE = sized(280, 2900)
ENDS = sized(100, 10_000)
KILLS = sized(3, 60)
LONGEST_LIFE = sized(1.0, 8.0)  # seconds of a node between two kills
FAILURES = 4  # of one event at most, so that none is given up
HANG_SECONDS = 1.0
AWAY = sized(40, 400)
EVENTS = "job.completed,job.failed,job.progress"
FAULTS: tuple[Status, ...] = (500, HANG, (302, {"Location": "/"}), (429, {"Retry-After": "1"}), (503, {}), 404)


class _Backend:
    """Fails at random, at most `FAILURES` times for an event; notes what it has accepted, in order."""

    def __init__(self, chaos: Chaos, receiver: Receiver) -> None:
        self.accepted: list[Delivery] = []
        self.answers: Counter[str] = Counter()
        self._random = chaos.random
        self._failed: Counter[str] = Counter()
        receiver.decide = self.decide

    def decide(self, told: Delivery) -> Status:
        """Return the answer."""
        told.verified()
        if self._failed[told.id] < FAILURES and self._random.random() < 0.4:
            self._failed[told.id] += 1
            answer = self._random.choice(FAULTS)
            self.answers[str(answer if isinstance(answer, int) else answer[0])] += 1
            return answer
        self.accepted.append(told)
        status = 410 if self._random.random() < 0.05 else 200
        self.answers[str(status)] += 1
        return status


async def _until_answered(
    chaos: Chaos, nodes: list[Served], order: tuple[str, str], body: bytes, headers: dict[str, str] | None = None
) -> None:
    """Send a request (method and path) to any node until one has acknowledged it."""
    while True:
        node = chaos.random.choice(nodes)
        with suppress(*NETWORK):
            status, _ = await chaos.web.request(node.port, *order, headers=headers, body=body)
            if status in {200, 201}:
                return
        await asyncio.sleep(0.05)


async def _job(chaos: Chaos, nodes: list[Served], number: int) -> None:
    """Register a job, change it, and end it."""
    name = f"job-{number}"
    path = f"/api/fal-jobs/{name}"
    for facts in ({"endpointId": ENDPOINT}, {"owner": "user-1"}):
        await _until_answered(chaos, nodes, ("PUT", path), json.dumps(facts).encode())
    end = {"status": "OK", "payload": {"n": number}} if number % 3 else {"status": "ERROR", "error": "no"}
    body = json.dumps({"request_id": name, **end}).encode()
    headers = sign(body, chaos.key, request_id=name)
    await _until_answered(chaos, nodes, ("POST", "/api/webhooks/fal"), body, headers)


async def _jobs(chaos: Chaos, nodes: list[Served]) -> None:
    numbers = iter(range(ENDS))

    async def run() -> None:
        for number in numbers:
            await _job(chaos, nodes, number)

    await asyncio.gather(*(run() for _ in range(8)))


async def _kill(chaos: Chaos, nodes: list[Served]) -> None:
    """Kill nodes at random moments."""
    for _ in range(KILLS):
        await asyncio.sleep(chaos.random.uniform(0.1, LONGEST_LIFE))
        node = chaos.random.choice(nodes)
        await node.kill()
        await node.spawn()
        await node.ready()


async def _all_told(url: str) -> None:
    """Wait until no event is left."""
    database = open_database(url)
    table = WorkTable(database)
    while await table.waiting(Kind.TELL):  # noqa: ASYNC110 - what other processes do
        await asyncio.sleep(0.1)
    await database.close()


def _problems(accepted: list[Delivery]) -> list[str]:
    """Return what is wrong with what was told, in the order in which it came."""
    by_job: dict[str, list[Delivery]] = defaultdict(list)
    for told in accepted:
        by_job[told.event["data"]["requestId"]].append(told)
    problems = [f"job-{number} was not told" for number in range(ENDS) if f"job-{number}" not in by_job]
    for name, deliveries in by_job.items():
        events = [told.event for told in deliveries]
        versions = [event["data"]["version"] for event in events]
        ends = {told.id for told in deliveries if told.event["type"] != "job.progress"}
        if versions != sorted(versions):
            problems.append(f"{name} was told out of order: {[(event['type'], event['data']) for event in events]}")
        if len(ends) != 1 or events[-1]["type"] == "job.progress":
            problems.append(f"{name} has the ends {ends}, the last event is {events[-1]['type']}")
    return problems


async def test_nodes_that_are_killed_tell_every_end_in_order(chaos: Chaos, postgres_url: str) -> None:
    """To a backend that fails, hangs, redirects, and asks for patience; each event has one id, whoever tells it."""
    async with (
        asyncio.timeout(DEADLINE),
        running_receiver(HANG_SECONDS) as receiver,
        running_falhost(chaos.key) as fal,
    ):
        backend = _Backend(chaos, receiver)
        forward = {"forward_url": receiver.url, "forward_secret": SECRET, "forward_events": EVENTS}
        settings = {"database_url": postgres_url, **fal, **forward}
        async with running_served(chaos.folder, settings, count=2) as nodes:
            for node in nodes:
                await node.healthy(chaos.web)
            began = asyncio.get_running_loop().time()
            async with hurry(postgres_url, Kind.TELL, []):
                await asyncio.gather(_jobs(chaos, nodes), _kill(chaos, nodes))
                await _all_told(postgres_url)
            took = asyncio.get_running_loop().time() - began
            complaints = [line for node in nodes for line in node.complaints()]
    times = Counter(told.id for told in backend.accepted)
    twice = sum(count > 1 for count in times.values())
    chaos.note(f"  {ENDS} ends, {len(times)} events, {KILLS} kills, {took:.0f} s; answers {dict(backend.answers)}")
    chaos.note(f"  {twice} events told twice or more: {twice / len(times):.2%}")
    assert _problems(backend.accepted) == []
    assert complaints == []


async def test_a_backend_that_was_away_for_hours_is_told_once_it_is_back(chaos: Chaos, any_database_url: str) -> None:
    """Of each end once: its attempts in between reached nobody."""
    fal, port, waits = FalDouble(), quiet_port(), list[float]()
    forward = {"forward_url": f"http://127.0.0.1:{port}/hook", "forward_secret": SECRET}
    async with asyncio.timeout(DEADLINE), running_node(fal, database_url=any_database_url, **forward) as node:
        for number in range(AWAY):
            assert (await node.post_webhook(fal.webhook(f"job-{number}"))).status_code == 200
        async with hurry(any_database_url, Kind.TELL, waits):
            while len(waits) < 4 * AWAY:  # noqa: ASYNC110 - time passes in the database
                await asyncio.sleep(0.01)
            async with running_receiver(port=port) as receiver:
                await settled(node)
    away = sum(waits[: 4 * AWAY]) / AWAY
    chaos.note(f"  {AWAY} ends told after {away / 3600:.1f} hours")
    assert away >= 3600
    assert len(receiver.deliveries) == AWAY == len({told.id for told in receiver.deliveries})
    assert sum(RETRIES[:4]) >= 3600

"""Reports of one job that race with each other."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial

import asyncpg
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from support.chaos import Chaos, sized
from support.fal import ENDPOINT
from support.falhost import running_falhost
from support.redis import Redis
from support.sender import Outcome, Sender, outcomes
from support.served import running_served
from support.watchers import Ledger, Watcher, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
JOBS = sized(150, 4000)
ASKED_JOBS = sized(60, 600)
AT_ONCE = sized(50, 100)
NAMES_A_STREAM = 50


def _watchers(chaos: Chaos, ports: Sequence[int], names: Sequence[str], ledger: Ledger) -> list[Watcher]:
    """Each job is watched at both nodes."""
    starts = range(0, len(names), NAMES_A_STREAM)
    return [
        Watcher(names[start : start + NAMES_A_STREAM], [port], ledger, chaos.random)
        for start in starts
        for port in ports
    ]


async def _polled(chaos: Chaos, ports: Sequence[int], names: Sequence[str], ledger: Ledger) -> list[str]:
    """What is wrong with what the nodes say; the ledger compares them."""
    for port in ports:
        for name in names:
            status, body = await chaos.web.settled(port, "GET", f"/api/fal-jobs/{name}")
            assert status == 200
            if ledger.see(body).status == "pending":
                ledger.wrong.append(f"{name} has not ended")
    return ledger.wrong


async def test_reports_that_contradict_make_one_end(chaos: Chaos, postgres_url: str, redis_server: Redis) -> None:
    """Webhooks twice, out of order and at two nodes at once: one is accepted, and its end is everybody's."""
    names = [f"job-{number}" for number in range(JOBS)]
    turns = asyncio.Semaphore(AT_ONCE)

    async def reports(sender: Sender, name: str) -> None:
        good, bad = (Outcome(name, chaos.random.randrange(2**62), error) for error in (False, True))
        mixed = [good, good, bad, bad]
        chaos.random.shuffle(mixed)

        async def later(outcome: Outcome) -> None:
            await asyncio.sleep(chaos.random.choice((0.0, chaos.random.uniform(0.0, 0.02))))
            await sender.deliver(outcome)

        async with turns:
            await asyncio.gather(*map(later, mixed))

    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
        shared = {"database_url": postgres_url, "redis_url": redis_server.url, **fal}
        async with running_served(chaos.folder, shared, count=2) as nodes:
            ports = [node.port for node in nodes]
            ledger = Ledger()
            sender = Sender(chaos.key, ports, chaos.random, chaos.web)
            async with watching(_watchers(chaos, ports, names, ledger)) as running:
                await asyncio.gather(*(reports(sender, name) for name in names))
                await running.ended()
            problems = await _polled(chaos, ports, names, ledger)
    chaos.note(f"  {JOBS} jobs, {dict(sender.answers)}")
    assert problems == []
    taken, unknown = sender.answers["200 accepted"], sender.answers["503 store_unavailable"]
    assert taken + sender.answers["200 duplicate"] == 4 * JOBS
    assert JOBS - unknown <= taken <= JOBS  # a change whose deadline has passed on a busy machine may be there
    assert {version for _, version in ledger.ends.items()} == {1}
    assert [line for node in nodes for line in node.complaints()] == []


async def test_a_webhook_that_races_with_the_reconciler_makes_one_end(
    chaos: Chaos, postgres_url: str, redis_server: Redis
) -> None:
    """fal's webhook arrives, twice, while two nodes ask for the very same job: one end for everybody."""
    names = [f"job-{number}" for number in range(ASKED_JOBS)]
    ended = {outcome.name: outcome for outcome in outcomes(names, chaos.random)}
    senders: list[Sender] = []
    meets = {name: chaos.random.choice((1, 2)) for name in chaos.random.sample(names, ASKED_JOBS * 4 // 5)}  # which ask
    asked: dict[str, int] = dict.fromkeys(names, 0)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:

        def meet(name: str) -> None:
            asked[name] += 1
            if asked[name] == meets.get(name):
                for sender in senders:
                    group.create_task(sender.deliver(ended[name]))

        async with running_falhost(chaos.key, partial(_queue, chaos, meet)) as fal:
            shared = {"database_url": postgres_url, "redis_url": redis_server.url, "fal_key": "any", **fal}
            async with running_served(chaos.folder, shared, count=2) as nodes:
                ports = [node.port for node in nodes]
                senders += [Sender(chaos.key, [port], chaos.random, chaos.web) for port in ports]
                facts = json.dumps({"endpointId": ENDPOINT}).encode()
                for name in names:
                    status, _ = await chaos.web.settled(ports[0], "PUT", f"/api/fal-jobs/{name}", body=facts)
                    assert status in {200, 201}
                ledger = Ledger()
                async with watching(_watchers(chaos, ports, names, ledger)) as running:
                    await _make_overdue(postgres_url)
                    await running.ended()
                problems = await _polled(chaos, ports, names, ledger)
                complaints = [line for node in nodes for line in node.complaints()]
    answers = senders[0].answers + senders[1].answers
    chaos.note(f"  {ASKED_JOBS} jobs, fal asked {sum(asked.values())} times, webhooks {dict(answers)}")
    assert problems == []
    assert complaints == []
    assert all(asked.values())
    assert answers["200 accepted"] > 0
    assert answers["200 duplicate"] > 0


async def _queue(chaos: Chaos, meet: Callable[[str], None], request: Request) -> Response:
    """fal's queue: at the moment of a question, the webhooks set out."""
    _, _, rest = request.url.path.partition("/requests/")
    name, _, what = rest.partition("/")
    if what == "status/stream":
        return JSONResponse({"detail": "Request not found"}, 404)
    meet(name)
    await asyncio.sleep(chaos.random.uniform(0.0, 0.02))
    return JSONResponse({"status": "COMPLETED", "logs": None} if what == "status" else {"from": "the queue"})


async def _make_overdue(url: str) -> None:
    """Nobody waits until the jobs are old enough to be asked about. What has ended is left as clients have seen it."""
    connection = await asyncpg.connect(url)
    try:
        earlier = "UPDATE hookcast.jobs SET created_at = created_at - interval '1 minute' WHERE status = 'pending'"
        await connection.execute(earlier)
    finally:
        await connection.close()

"""Databases that crash, hang, are cut off, or have no room left."""

import asyncio
import json
import resource
from collections.abc import Callable, Coroutine
from itertools import count

import pytest

from support.chaos import LONG, Chaos, sized
from support.falhost import running_falhost
from support.postgres import Postgres, running_postgres, running_standby
from support.proxy import Proxy, running_proxy
from support.room import running_postgres_with_room
from support.sender import Outcome, Sender, outcomes, verify
from support.served import Served, running_served
from support.watchers import Ledger, Watcher, watching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
RATE = sized(120, 200)
WEBHOOKS = sized(200, 8000)
OPEN_STREAMS = sized(100, 1000)
AWAY_SECONDS = sized(0.3, 8.0)
LATE_COMMITS = sized(1, 4)
HANGS_SECONDS = sized(0.3, 8.0)  # the long one is past the deadline of a transaction, and past a resync's look back
FULL_BYTES = 64 * 1024  # the database and its log are longer
FAIL_OVER_SECONDS = 10.0 * 4  # on a machine four times as slow
CALM_SECONDS = sized(0.3, 3.0)
Faults = Callable[[Sender], Coroutine[None, None, None]]


async def _under_load(chaos: Chaos, nodes: list[Served], faults: Faults) -> None:
    """Streams first, then webhooks while the faults come and go: nothing is lost, and no stream closes."""
    ports = [node.port for node in nodes]
    ended = outcomes((f"job-{number}" for number in range(WEBHOOKS)), chaos.random)
    ledger = Ledger()
    watched = chaos.random.sample(ended, OPEN_STREAMS)
    watchers = [Watcher([outcome.name], ports, ledger, chaos.random) for outcome in watched]
    sender = Sender(chaos.key, ports, chaos.random, chaos.web)
    for node in nodes:
        await node.healthy(chaos.web)  # it has fal's keys, which it keeps in the database
    async with watching(watchers) as running, asyncio.TaskGroup() as group:
        group.create_task(faults(sender))
        await sender.load(ended, RATE)
        await running.ended()
    problems = await verify(chaos.web, ports, ended, ledger, versions=lambda _: 1)
    chaos.note(f"  {dict(sender.answers)}")
    assert problems == []
    assert [len(watcher.visits) for watcher in watchers] == [1] * OPEN_STREAMS
    assert set(sender.answers) <= {"200 accepted", "200 duplicate", "503 store_unavailable", "network error"}
    assert sender.answers["503 store_unavailable"] > 0
    assert [line for node in nodes for line in node.complaints()] == []


async def _until_refused(sender: Sender) -> None:
    """A fault counts once a webhook has met it; where all were taken before it came, others meet it."""
    before = sender.answers["503 store_unavailable"]
    for number in count():
        if sender.answers["503 store_unavailable"] != before:
            return
        if sender.under_way:
            await asyncio.sleep(0.02)
        else:
            await sender.attempt(Outcome(f"late-{number}", number))


async def test_a_postgresql_that_crashes_loses_no_webhook(chaos: Chaos) -> None:
    """Webhooks get 503 and are taken when it is back; streams stay open, and two nodes go on by themselves."""
    with running_postgres() as postgres:

        async def crashes(sender: Sender) -> None:
            for _ in range(sized(1, 3)):
                await asyncio.sleep(CALM_SECONDS)
                await asyncio.to_thread(postgres.stop)
                await _until_refused(sender)
                await asyncio.sleep(AWAY_SECONDS)
                await asyncio.to_thread(postgres.start)

        async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
            shared = {"database_url": postgres.create("chaos"), **fal}
            async with running_served(chaos.folder, shared, count=2) as nodes:
                await _under_load(chaos, nodes, crashes)


async def test_a_postgresql_behind_a_bad_line_loses_no_webhook(
    chaos: Chaos, postgres: Postgres, postgres_url: str
) -> None:
    """Cut, slow, and stalled until its deadline is over: 503 again, and the streams stay open."""

    async def line_faults(sender: Sender, line: Proxy) -> None:
        await asyncio.sleep(CALM_SECONDS)
        line.cut()
        await _until_refused(sender)
        await asyncio.sleep(AWAY_SECONDS)
        line.heal()
        await asyncio.sleep(CALM_SECONDS)
        line.delay = sized(0.05, 0.3)
        await asyncio.sleep(AWAY_SECONDS)
        line.heal()
        if LONG:  # it takes as long as the deadline of a transaction
            await asyncio.sleep(CALM_SECONDS)
            line.stall()
            await _until_refused(sender)
            await asyncio.sleep(AWAY_SECONDS)
            line.heal()

    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal, running_proxy(postgres.port) as line:
        url = postgres_url.replace(f":{postgres.port}/", f":{line.port}/")
        async with running_served(chaos.folder, {"database_url": url, **fal}) as nodes:
            await _under_load(chaos, nodes, lambda sender: line_faults(sender, line))


async def test_a_commit_that_hangs_on_its_way_reaches_every_watcher(
    chaos: Chaos, postgres: Postgres, postgres_url: str
) -> None:
    """It becomes visible long after it was written: also the watchers of the other node get it, without Redis."""
    ended = outcomes((f"job-{number}" for number in range(LATE_COMMITS)), chaos.random)
    ledger = Ledger()
    async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal, running_proxy(postgres.port) as line:
        # As behind a pooler: otherwise a webhook's statement is a transaction of its own, without a COMMIT.
        url = f"{postgres_url}?pgbouncer=true".replace(f":{postgres.port}/", f":{line.port}/")
        async with (
            running_served(chaos.folder, {"database_url": url, **fal}) as behind,
            running_served(chaos.folder, {"database_url": postgres_url, **fal}) as direct,
        ):
            ports = [behind[0].port, direct[0].port]
            for node in (*behind, *direct):
                await node.healthy(chaos.web)
            sender = Sender(chaos.key, ports[:1], chaos.random, chaos.web)
            watchers = [Watcher([outcome.name], [port], ledger, chaos.random) for outcome in ended for port in ports]
            async with watching(watchers) as running, asyncio.TaskGroup() as group:
                for outcome in ended:
                    line.stall_at(b"COMMIT")
                    task = group.create_task(sender.deliver(outcome))
                    while not line.stalled:  # noqa: ASYNC110 - the proxy of this event loop
                        await asyncio.sleep(0.01)
                    await asyncio.sleep(HANGS_SECONDS)
                    line.heal()
                    await task
                await running.ended()
            problems = await verify(chaos.web, ports, ended, ledger, versions=lambda _: 1)
    chaos.note(f"  {dict(sender.answers)}")
    assert problems == []


async def _not_ready(chaos: Chaos, node: Served, code: str) -> None:
    """Wait until /readyz says so: it tries a write."""
    while True:
        status, body = await chaos.web.request(node.port, "GET", "/readyz")
        said = json.loads(body)
        if status == 503 and said["reasons"]["database"]["code"] == code:
            return
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("several", sized([False], [False, True]), ids=lambda several: "hosts" if several else "name")
async def test_a_fail_over_loses_no_webhook(chaos: Chaos, several: bool) -> None:
    """The old primary lives on, read-only; the name, or another host of the URL, leads to the new one."""
    with running_postgres() as old:
        url = old.create("chaos")
        with running_standby(old) as new:
            async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal, running_proxy(old.port) as line:
                hosts = f":{old.port},127.0.0.1:{new.port}/" if several else f":{line.port}/"
                shared = {"database_url": url.replace(f":{old.port}/", hosts), **fal}

                async def fail_over(sender: Sender) -> None:
                    await asyncio.sleep(CALM_SECONDS)
                    await asyncio.to_thread(old.fence)
                    await _until_refused(sender)
                    for node in nodes:
                        await _not_ready(chaos, node, "read_only")
                    await asyncio.to_thread(new.promote)
                    line.redirect(new.port)
                    began = asyncio.get_running_loop().time()
                    for node in nodes:
                        await node.healthy(chaos.web)
                    took = asyncio.get_running_loop().time() - began
                    chaos.note(f"  taken again after {took:.1f} s")
                    assert took < FAIL_OVER_SECONDS

                async with running_served(chaos.folder, shared, count=2) as nodes:
                    await _under_load(chaos, nodes, fail_over)


async def test_a_full_disk_loses_no_webhook(chaos: Chaos) -> None:
    """SQLite has no room for its writes for a while: webhooks get 503 and are taken when it has again."""
    database = chaos.folder / "hookcast.db"

    async def full(sender: Sender, node: Served) -> None:
        for _ in range(sized(1, 3)):
            await asyncio.sleep(CALM_SECONDS)
            # The kernel's limit of a file's size is a disk that is full for one process, without a mount of its own.
            soft, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
            try:
                await _until_refused(sender)
                await _not_ready(chaos, node, "disk_full")
                await asyncio.sleep(AWAY_SECONDS)
            finally:
                resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (soft, hard))

    # A log of errors stays below the limit, which is for it, too.
    settings = {"database_url": f"sqlite:///{database}", "log_level": "error"}
    async with (
        asyncio.timeout(DEADLINE),
        running_falhost(chaos.key) as fal,
        running_served(chaos.folder, {**settings, **fal}) as nodes,
    ):
        await _under_load(chaos, nodes, lambda sender: full(sender, nodes[0]))


@pytest.mark.parametrize("mount", sized([True], [True, False]), ids=lambda mount: "disk" if mount else "file limit")
async def test_a_postgresql_without_room_loses_no_webhook(chaos: Chaos, mount: bool) -> None:
    """For its tables, or for its log, which ends it: webhooks get 503 until it has room again; streams stay open."""
    with running_postgres_with_room(mount=mount) as (postgres, room):

        async def full(sender: Sender) -> None:
            for number in range(sized(1, 4)):
                await asyncio.sleep(CALM_SECONDS)
                await asyncio.to_thread(room.fill)
                if number % 2:
                    await asyncio.to_thread(postgres.switch_log)
                await _until_refused(sender)
                await asyncio.sleep(AWAY_SECONDS)
                await asyncio.to_thread(room.free)
                if not postgres.running:
                    chaos.note("  it had ended")
                    await asyncio.to_thread(postgres.start)

        async with asyncio.timeout(DEADLINE), running_falhost(chaos.key) as fal:
            shared = {"database_url": postgres.create("chaos"), **fal}
            async with running_served(chaos.folder, shared, count=2) as nodes:
                await _under_load(chaos, nodes, full)

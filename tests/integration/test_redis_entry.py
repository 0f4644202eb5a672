"""A Redis that asks who comes: passwords, users with few rights, TLS; and what is said when it does not let us in."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient
from structlog.testing import capture_logs
from structlog.typing import EventDict

from hookcast.bus import job_topic
from hookcast.bus.link import Link
from hookcast.bus.redis import open_redis_bus
from hookcast.wire import State
from support.certificates import make_certificate
from support.chaos import Chaos, chaos_of
from support.fakes import Sleeper
from support.redis import USER, Entry, Redis, running_cluster, running_redis
from support.served import running_served
from support.server import DEADLINE, until
from support.watchers import Ledger, Watcher, watching

pytestmark = pytest.mark.anyio
PASSWORD = "p:a/s#s w@rd?50%"
WRONG = "s3cr3t-but-wr0ng"
FEW = "resetchannels &hookcast -@all +ping +publish +subscribe +unsubscribe"  # the jobs' channels are missing
KINDS = ("password", "user", "tls", "tls and user")


@pytest.fixture
async def chaos(tmp_path: Path) -> AsyncIterator[Chaos]:
    """For its client and its luck."""
    async with chaos_of("entry", tmp_path, []) as luck:
        yield luck


def entry(kind: str, folder: Path) -> Entry:
    """One way to let clients in."""
    certificate = make_certificate(folder) if "tls" in kind else None
    password = "" if kind == "tls" else PASSWORD
    return Entry(password, USER if "user" in kind else "", certificate)


async def carries(url: str, name: str = "job-1") -> None:
    """A state goes from one bus to another, and the group's channel is ours, too."""
    heard: list[State] = []
    async with open_redis_bus(url, "ours", heard.append) as two, open_redis_bus(url, "ours", lambda _: None) as one:
        await until(lambda: one.condition == two.condition == "ok")
        await two.subscribe([job_topic(name), "group:g"])
        async with asyncio.timeout(DEADLINE):
            while len(heard) < 2:  # again: a bus may lose a message, and does when a slow machine takes too long
                heard.clear()
                await one.publish(State(request_id=name, version=1, terminal=False, group="g", body=b"{}"))
                with suppress(TimeoutError):
                    await asyncio.wait_for(until(lambda: len(heard) >= 2), 5)
        two.unsubscribe([job_topic(name), "group:g"])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_bus_enters_as_the_address_says(kind: str, tmp_path: Path) -> None:
    """Also with every sign in the password that an address has a meaning for, and with the documented rights only."""
    with running_redis(entry(kind, tmp_path)) as server:
        await carries(server.url)


async def test_connections_share_what_tls_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read the system's certificates takes 30 ms, in which nothing is pushed."""
    made: list[ssl.SSLContext] = []
    original = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(original())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    with running_cluster(entry("tls and password", tmp_path)) as cluster:
        await carries(cluster.url)
    assert len(made) == 1


async def test_the_bus_enters_each_server_of_a_cluster(tmp_path: Path) -> None:
    """By TLS and password, also those that only the cluster has named."""
    with running_cluster(entry("tls and password", tmp_path)) as cluster:
        for number in range(9):
            await carries(cluster.url, f"job-{number}")


def refused(kind: str, server: Redis, folder: Path) -> tuple[str, str]:
    """An address that does not let us in, and what the log says about it."""
    address = f"127.0.0.1:{server.port}"
    match kind:
        case "wrong password":
            return Entry(WRONG, USER, server.entry.certificate).url(address), "invalid username-password pair"
        case "no password":
            return Entry("", "", server.entry.certificate).url(address), "Authentication required"
        case "unknown certificate":
            return Entry(PASSWORD, USER, make_certificate(folder, "stranger")).url(address), "CERTIFICATE_VERIFY_FAILED"
        case "another host":
            return server.entry.url(f"localhost:{server.port}"), "Hostname mismatch"
        case _:
            return Entry(PASSWORD, USER).url(address), "Connection"


def in_time(lines: list[EventDict]) -> list[EventDict]:
    """The lines that are not about a timeout: on a slow machine Redis may take longer than its second."""
    return [line for line in lines if "timeout" not in line["reason"].lower()]


def events_of(lines: list[EventDict]) -> set[str]:
    """Their names."""
    return {line["event"] for line in lines}


@pytest.mark.parametrize(
    "kind", ["wrong password", "no password", "unknown certificate", "another host", "plain where TLS is spoken"]
)
async def test_the_log_says_why_redis_does_not_let_us_in(kind: str, tmp_path: Path) -> None:
    """Without the password, for both directions."""
    with running_redis(entry("tls and user", tmp_path)) as server, capture_logs() as lines:
        url, why = refused(kind, server, tmp_path)
        async with open_redis_bus(url, "ours", lambda _: None) as bus:
            await bus.publish(State(request_id="job-1", version=1, terminal=False, body=b"{}"))
            await until(lambda: events_of(in_time(lines)) == {"bus_broken", "bus_not_published"})
            assert bus.condition == "unavailable"
    assert [line for line in in_time(lines) if why not in line["reason"]] == []
    assert WRONG not in str(lines)
    assert PASSWORD not in str(lines)


async def test_a_right_that_is_missing_is_named() -> None:
    """The message is not: its body is a user's."""
    with running_redis(Entry(PASSWORD, USER, rights=FEW)) as server, capture_logs() as lines:
        async with open_redis_bus(server.url, "ours", lambda _: None) as bus:
            await until(lambda: lines)  # publishing was tried
            await bus.publish(State(request_id="job-1", version=1, terminal=False, body=b"of a user"))
            await bus.subscribe([job_topic("job-1")])
            await until(lambda: events_of(in_time(lines)) == {"bus_broken", "bus_mute", "bus_not_published"})
    assert [line for line in in_time(lines) if "permissions" not in line["reason"]] == []
    assert "of a user" not in str(lines)


async def test_a_redis_that_refuses_what_it_is_asked_is_asked_less_and_less() -> None:
    """Although each connection is welcome at first."""
    pauses = Sleeper(free=True)
    with running_redis(Entry(PASSWORD, USER, rights=FEW)) as server:
        client = RedisClient.from_url(server.url, protocol=2)
        link = Link(client, lambda _: None, sharded=False, trials=list, broken=lambda: None, sleep=pauses)
        link.want([job_topic("job-1")])
        running = asyncio.ensure_future(link.run())
        await until(lambda: len(pauses.pauses) == 6)
        running.cancel()
        await asyncio.wait({running})
    assert max(pauses.pauses) > 5 * pauses.pauses[0]


async def test_a_server_that_redis_does_not_let_in_goes_on(chaos: Chaos, tmp_path: Path, postgres_url: str) -> None:
    """It starts, /readyz names Redis, states come from the database, and no secret is printed."""
    with running_redis(Entry(PASSWORD)) as server:
        shared = {"database_url": postgres_url, "redis_url": Entry(WRONG).url(f"127.0.0.1:{server.port}")}
        async with running_served(tmp_path, {**shared, "fal_jwks_url": "http://127.0.0.1:9"}, count=2) as (one, two):
            _, body = await chaos.web.request(two.port, "GET", "/readyz")
            assert json.loads(body)["checks"]["redis"] == "unavailable"
            watcher = Watcher(["job-1"], [two.port], Ledger(), chaos.random)
            async with watching([watcher]):
                assert (await chaos.web.request(one.port, "PUT", "/api/fal-jobs/job-1", body=b"{}"))[0] == 201
                await until(lambda: watcher.visits[0].versions == {"job-1": 1})
        printed = one.log.read_text() + two.log.read_text()
    assert one.complaints() + two.complaints() == []
    assert "invalid username-password pair" in printed
    assert WRONG not in printed

"""Hookcast behind Debian's nginx, haproxy and caddy, each configured as docs/operations.md says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.clients import hard
from integration.clients.through import PATH, curl_through, gone, socket_through, trusting
from support.certificates import make_certificate
from support.clients import Seeing, Seen, output, program
from support.fal import FalDouble, sign
from support.proxies import KINDS, Kind, Proxy, running_proxy
from support.server import Node, running_node, until
from support.serving import served
from support.sockets import Socket

pytestmark = pytest.mark.anyio
SHORT = 3  # seconds; how long a proxy waits for a byte in tests; a slow machine may stall for two
IDLE: dict[Kind, dict[str, str]] = {
    "nginx": {"proxy_read_timeout": f"{SHORT}s"},
    "haproxy": {"timeout_client": f"{SHORT}s", "timeout_server": f"{SHORT}s"},
    "caddy": {},
}
PINGS = 20  # with a heartbeat of 0.3 s, at least 0.165 s apart: together longer than SHORT


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all proxies."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each proxy."""
    found: Kind = request.param
    return found


@pytest.fixture
async def proxy(node: Node, kind: Kind, certificate: Path) -> AsyncIterator[Proxy]:
    """The proxy in front of the node."""
    async with running_proxy(kind, node.url, certificate) as running:
        yield running


async def _message(socket: Socket) -> Any:
    return json.loads(await socket.text())


async def test_each_state_passes_before_the_next_one_is_sent(node: Node, proxy: Proxy) -> None:
    """Unbuffered, over HTTP/1.1 and HTTP/2; then `end` and a clean close; fal's webhook passes, too."""
    await node.register("job-1")
    async with curl_through(proxy, PATH, version="1.1") as one, curl_through(proxy, PATH, version="2") as two:
        first = [await anext(seeing) for seeing in (one, two)]
        await node.register("job-1", owner="user-1")
        second = [await anext(seeing) for seeing in (one, two)]
        async with httpx.AsyncClient(verify=trusting(proxy)) as fal:
            body = node.fal.webhook("job-1")
            await fal.post(f"{proxy.url}/api/webhooks/fal", content=body, headers=sign(body, node.fal.key))
        rest = [[seen async for seen in seeing] for seeing in (one, two)]
    assert [(seen.event, seen.id) for seen in first + second] == [("job", "1")] * 2 + [("job", "2")] * 2
    for version, (third, *end) in zip(["1.1", "2"], rest, strict=True):
        assert (third.event, third.id) == ("job", "3")
        assert end == [Seen("end", "end", "{}"), Seen("status", version, "200")]


async def test_204_after_the_end_passes(proxy: Proxy) -> None:
    """It is what stops an EventSource."""
    for version in ("1.1", "2"):
        async with curl_through(proxy, PATH, "-H", "Last-Event-ID: end", version=version) as seeing:
            assert [seen async for seen in seeing] == [Seen("status", version, "204")]


async def test_the_messages_of_a_socket_pass_both_ways_and_so_does_its_close(node: Node, proxy: Proxy) -> None:
    """Each before the next one; at the end a restart."""
    await node.register("job-1")
    async with socket_through(proxy) as socket:
        await socket.send(type="subscribe", requestIds=["job-1", "job-2"])
        assert [(await _message(socket))["type"] for _ in range(2)] == ["subscribed", "job"]
        await node.register("job-1", owner="user-1")
        assert (await _message(socket))["job"]["owner"] == "user-1"
        await socket.send(type="unsubscribe", requestIds=["job-1"])
        await until(lambda: list(node.engine.hub) == ["job:job-2"])
        await node.post_webhook(node.fal.webhook("job-2"))
        assert (await _message(socket))["job"]["requestId"] == "job-2"
        node.engine.admission.drain()
        assert (await _message(socket))["type"] == "reconnect"
        assert await socket.closed() == Seen("close", "1012", "restart")


async def test_a_large_result_passes_byte_for_byte(node: Node, proxy: Proxy) -> None:
    """A mebibyte with hard characters, by SSE and WebSocket."""
    async with curl_through(proxy, PATH) as seeing, socket_through(proxy) as socket:
        await socket.send(type="subscribe", requestIds=["job-1"])
        assert (await _message(socket))["type"] == "subscribed"
        await node.post_webhook(hard.WEBHOOK)
        state = (await node.client.get("/api/fal-jobs/job-1")).text
        assert (await anext(seeing)).data == state
        assert await socket.text() == f'{{"type":"job","job":{state}}}'


async def test_a_client_that_leaves_is_noticed(node: Node, proxy: Proxy) -> None:
    """Nothing of a stream or a socket stays on the node."""
    for version in ("1.1", "2"):
        async with curl_through(proxy, PATH, version=version), socket_through(proxy) as socket:
            await socket.send(type="subscribe", groups=["g"])
            await until(lambda: set(node.engine.hub) == {"job:job-1", "group:g"})
        await until(lambda: len(node.engine.hub) == 0)
        await until(lambda: not node.engine.admission.streams)


@asynccontextmanager
async def _impatient(
    fal: FalDouble, database_url: str, kind: Kind, certificate: Path, heartbeat: float
) -> AsyncIterator[Proxy]:
    async with (
        running_node(fal, database_url=database_url, heartbeat_seconds=heartbeat) as node,
        running_proxy(kind, node.url, certificate, **IDLE[kind]) as proxy,
    ):
        await node.register("job-1")
        yield proxy


async def test_the_heartbeat_keeps_streams_that_are_idle_for_longer_than_the_proxy_waits(
    fal: FalDouble, database_url: str, kind: Kind, certificate: Path
) -> None:
    """Silent but for its pings, a stream and a socket live on, over HTTP/1.1 and HTTP/2."""
    async with (
        _impatient(fal, database_url, kind, certificate, 0.3) as proxy,
        curl_through(proxy, PATH, version="1.1") as one,
        curl_through(proxy, PATH, version="2") as two,
        socket_through(proxy) as socket,
    ):
        await socket.send(type="subscribe", requestIds=["job-1"])
        heard = await asyncio.gather(
            *(_heard(seeing, PINGS + 1) for seeing in (one, two)),
            _said(socket, PINGS + 2),
        )
    assert heard[0] == heard[1] == ["job"] + [":"] * PINGS
    assert sorted(heard[2]) == ["job"] + ["ping"] * PINGS + ["subscribed"]


async def _heard(seeing: Seeing, count: int) -> list[str]:
    return [(await anext(seeing)).event for _ in range(count)]


async def _said(socket: Socket, count: int) -> list[str]:
    return [json.loads(await socket.raw())["type"] for _ in range(count)]


@pytest.mark.parametrize("kind", ["nginx", "haproxy"], indirect=True)
async def test_without_the_heartbeat_the_proxy_cuts_the_stream(
    fal: FalDouble, database_url: str, kind: Kind, certificate: Path
) -> None:
    """So it is the heartbeat that the streams of the test above live on."""
    async with (
        _impatient(fal, database_url, kind, certificate, 3600) as proxy,
        curl_through(proxy, PATH) as seeing,
    ):
        assert [seen.event async for seen in seeing] == ["job", "status"]


@pytest.mark.parametrize("kind", ["haproxy", "caddy"], indirect=True)
async def test_a_stream_that_is_opened_during_a_restart_is_held_until_the_server_is_there(
    fal: FalDouble, kind: Kind, tmp_path: Path, certificate: Path
) -> None:
    """Never 502 or 503, after which an EventSource would give up."""
    async with served(tmp_path, fal) as server:
        await server.start()
        await server.complete("job-1")
        await server.kill()
        async with running_proxy(kind, server.url, certificate) as proxy:
            command = ["curl", "-sSNv", "--http1.1", "--cacert", str(certificate), proxy.url + PATH]
            async with program(*command, errors=asyncio.subprocess.PIPE) as client:
                await _requested(client)
                await server.start()
                assert (await output(client).read()).endswith(b"event: end\nid: end\ndata: {}\n\n")


async def _requested(client: asyncio.subprocess.Process) -> None:
    assert client.stderr is not None
    async for line in client.stderr:
        if line.startswith(b"> GET"):
            return


@pytest.mark.parametrize("kind", ["nginx", "caddy"], indirect=True)
async def test_no_token_gets_into_a_log(node: Node, proxy: Proxy, kind: Kind) -> None:
    """Neither of requests that are answered, nor of those that find no server; HAProxy's page turns no log on."""
    async with httpx.AsyncClient(base_url=proxy.url, verify=trusting(proxy), timeout=60) as web:
        assert (await web.get("/api/fal-jobs/job-1?token=secret-0")).status_code == 404
        await gone(node)
        away = [(await web.get(path, params={"token": "secret-0"})).status_code for path in ("/healthz", PATH)]
        assert away == ([502, 200] if kind == "nginx" else [502, 502])
        logs = {file.name: file.read_text() for file in proxy.folder.glob("*.log")}
    if kind == "nginx":
        assert '"GET /api/fal-jobs/job-1" 404' in logs["hookcast.log"]
    else:
        assert '"uri":"/healthz"' in logs["stderr.log"]
    assert "secret-0" not in str(logs)

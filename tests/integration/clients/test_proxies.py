"""Hookcast behind Debian's nginx, haproxy and caddy, each configured as docs/operations.md says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.clients import hard
from support.certificates import make_certificate
from support.clients import (
    STATUS,
    Seeing,
    Seen,
    Socket,
    after,
    curl,
    node_events,
    output,
    program,
    python_socket,
)
from support.fal import FalDouble, sign
from support.proxies import KINDS, Kind, Proxy, running_proxy
from support.server import Node, running_node, until
from support.serving import served

pytestmark = pytest.mark.anyio
PATH = "/api/fal-jobs/job-1/events"
SHORT = 1  # seconds; how long a proxy waits for a byte in tests
IDLE: dict[Kind, dict[str, str]] = {
    "nginx": {"proxy_read_timeout": f"{SHORT}s"},
    "haproxy": {"timeout_client": f"{SHORT}s", "timeout_server": f"{SHORT}s"},
    "caddy": {},
}
COMPRESSING = "gzip_types *; gzip_proxied any; gzip_min_length 1;"
PINGS = 8  # with a heartbeat of 0.3 s, at least 0.165 s apart: together longer than SHORT


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


def _curl(proxy: Proxy, path: str, *options: str, version: str = "2") -> AbstractAsyncContextManager[Seeing]:
    wanted = {"1.1": "--http1.1", "2": "--http2"}[version]
    return curl(proxy.url + path, "--cacert", str(proxy.certificate), wanted, *STATUS, *options)


def _socket(proxy: Proxy) -> AbstractAsyncContextManager[Socket]:
    return python_socket(proxy.socket_url, ssl=_trusting(proxy))


def _trusting(proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(proxy.certificate))


async def _message(socket: Socket) -> Any:
    return json.loads(await socket.text())


async def test_each_state_passes_before_the_next_one_is_sent(node: Node, proxy: Proxy) -> None:
    """Unbuffered, over HTTP/1.1 and HTTP/2; then `end` and a clean close; fal's webhook passes, too."""
    await node.register("job-1")
    async with _curl(proxy, PATH, version="1.1") as one, _curl(proxy, PATH, version="2") as two:
        first = [await anext(seeing) for seeing in (one, two)]
        await node.register("job-1", owner="user-1")
        second = [await anext(seeing) for seeing in (one, two)]
        async with httpx.AsyncClient(verify=_trusting(proxy)) as fal:
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
        async with _curl(proxy, PATH, "-H", "Last-Event-ID: end", version=version) as seeing:
            assert [seen async for seen in seeing] == [Seen("status", version, "204")]


async def test_the_messages_of_a_socket_pass_both_ways_and_so_does_its_close(node: Node, proxy: Proxy) -> None:
    """Each before the next one; at the end a restart."""
    await node.register("job-1")
    async with _socket(proxy) as socket:
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
    async with _curl(proxy, PATH) as seeing, _socket(proxy) as socket:
        await socket.send(type="subscribe", requestIds=["job-1"])
        assert (await _message(socket))["type"] == "subscribed"
        await node.post_webhook(hard.WEBHOOK)
        state = (await node.client.get("/api/fal-jobs/job-1")).text
        assert (await anext(seeing)).data == state
        assert await socket.text() == f'{{"type":"job","job":{state}}}'


async def test_a_client_that_leaves_is_noticed(node: Node, proxy: Proxy) -> None:
    """Nothing of a stream or a socket stays on the node."""
    for version in ("1.1", "2"):
        async with _curl(proxy, PATH, version=version), _socket(proxy) as socket:
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
        _curl(proxy, PATH, version="1.1") as one,
        _curl(proxy, PATH, version="2") as two,
        _socket(proxy) as socket,
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
        _curl(proxy, PATH) as seeing,
    ):
        assert [seen.event async for seen in seeing] == ["job", "status"]


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_an_nginx_that_compresses_everything_holds_nothing_back(
    node: Node, certificate: Path, version: str
) -> None:
    """The stream is compressed, and each state can be read at once all the same."""
    await node.register("job-1")
    async with (
        running_proxy("nginx", node.url, certificate, http=COMPRESSING) as proxy,
        _curl(proxy, PATH, "--compressed", "-w", "event: %header{content-encoding}\\n\\n", version=version) as seeing,
    ):
        first = await anext(seeing)
        await node.register("job-1", owner="user-1")
        second = await anext(seeing)
        await node.post_webhook(node.fal.webhook("job-1"))
        rest = [seen.event async for seen in seeing]
    assert [first.id, second.id, *rest] == ["1", "2", "job", "end", "gzip"]


async def test_an_nginx_that_speaks_http_1_0_with_hookcast_holds_nothing_back(node: Node, certificate: Path) -> None:
    """As it does when nobody tells it otherwise."""
    await node.register("job-1")
    async with (
        running_proxy("nginx", node.url, certificate, proxy_http_version="1.0") as proxy,
        _curl(proxy, PATH) as seeing,
    ):
        first = await anext(seeing)
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [first.id, *[seen.event async for seen in seeing]] == ["1", "job", "end", "status"]


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


async def test_nginx_passes_on_hookcast_s_own_503(fal: FalDouble, database_url: str, certificate: Path) -> None:
    """With its code, and with when to come back: on streams as elsewhere."""
    async with (
        running_node(fal, database_url=database_url, max_streams=1) as node,
        running_proxy("nginx", node.url, certificate) as proxy,
        httpx.AsyncClient(base_url=proxy.url, verify=_trusting(proxy)) as web,
        node.events("job-1"),
    ):
        await until(lambda: node.engine.admission.streams)
        full = await web.get("/api/fal-jobs/job-2/events")
        fal.down = True
        body = fal.webhook("job-1")
        refused = await web.post("/api/webhooks/fal", content=body, headers=sign(body, fal.key))
    for answer, code in ((full, "too_many_streams"), (refused, "keys_unavailable")):
        assert (answer.status_code, answer.json()["code"]) == (503, code)
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("kind", ["nginx", "caddy"], indirect=True)
async def test_no_token_gets_into_a_log(node: Node, proxy: Proxy, kind: Kind) -> None:
    """Neither of requests that are answered, nor of those that find no server; HAProxy's page turns no log on."""
    async with httpx.AsyncClient(base_url=proxy.url, verify=_trusting(proxy), timeout=60) as web:
        assert (await web.get("/api/fal-jobs/job-1?token=secret-0")).status_code == 404
        await _gone(node)
        away = [(await web.get(path, params={"token": "secret-0"})).status_code for path in ("/healthz", PATH)]
        assert away == ([502, 200] if kind == "nginx" else [502, 502])
        logs = {file.name: file.read_text() for file in proxy.folder.glob("*.log")}
    if kind == "nginx":
        assert '"GET /api/fal-jobs/job-1" 404' in logs["hookcast.log"]
    else:
        assert '"uri":"/healthz"' in logs["stderr.log"]
    assert "secret-0" not in str(logs)


async def test_nginx_turns_to_the_next_node_when_one_is_away(
    fal: FalDouble, postgres_url: str, certificate: Path
) -> None:
    """Streams, reads and webhooks, without a gap."""
    shared: dict[str, Any] = {"database_url": postgres_url, "resync_seconds": 0.05}
    async with (
        running_node(fal, **shared) as one,
        running_node(fal, **shared) as two,
        running_proxy("nginx", one.url, certificate, second=two.url) as proxy,
        httpx.AsyncClient(base_url=proxy.url, verify=_trusting(proxy)) as web,
    ):
        assert [(await web.get("/api/fal-jobs")).status_code for _ in range(4)] == [200] * 4
        await _gone(one)
        for number in range(8):
            body = fal.webhook(f"job-{number}")
            answer = await web.post("/api/webhooks/fal", content=body, headers=sign(body, fal.key))
            assert answer.status_code == 200
            assert (await web.get(f"/api/fal-jobs/job-{number}/events")).text.endswith("data: {}\n\n")


async def _gone(node: Node) -> None:
    """Stop the node, and wait until nobody listens at its port."""
    node.server.should_exit = True
    with suppress(httpx.TransportError):
        while True:
            await node.client.get("/healthz")


async def test_behind_nginx_an_event_source_lives_through_a_restart(
    fal: FalDouble, tmp_path: Path, certificate: Path
) -> None:
    """While the server is away nginx answers for it: come back later."""
    async with served(tmp_path, fal) as server:
        await server.start()
        await server.register("job-1")
        async with (
            running_proxy("nginx", server.url, certificate) as proxy,
            node_events(proxy.url + PATH, trust=certificate) as seeing,
        ):
            assert (await after(seeing, "open")).id == "1"
            await server.kill()
            happened = [await anext(seeing) for _ in range(3)]
            assert happened == [Seen("error", data="0"), Seen("open"), Seen("error", data="0")]
            await server.start()
            await server.complete("job-1")
            states = []
            while (seen := await after(seeing, "open", "error")).event == "job":
                states.append(seen.id)
            assert (states[-1], seen.event) == ("2", "end")

"""Hookcast behind nginx with settings of its own: what else stands in a configuration, and servers that are away."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.clients.through import PATH, curl_through, gone, trusting
from support.certificates import make_certificate
from support.clients import (
    Seen,
    after,
    node_events,
)
from support.fal import FalDouble, sign
from support.proxies import running_proxy
from support.server import Node, running_node, until
from support.serving import served

pytestmark = pytest.mark.anyio
COMPRESSING = "gzip_types *; gzip_proxied any; gzip_min_length 1;"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all proxies."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_an_nginx_that_compresses_everything_holds_nothing_back(
    node: Node, certificate: Path, version: str
) -> None:
    """The stream is compressed, and each state can be read at once all the same."""
    await node.register("job-1")
    async with (
        running_proxy("nginx", node.url, certificate, http=COMPRESSING) as proxy,
        curl_through(
            proxy, PATH, "--compressed", "-w", "event: %header{content-encoding}\\n\\n", version=version
        ) as seeing,
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
        curl_through(proxy, PATH) as seeing,
    ):
        first = await anext(seeing)
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [first.id, *[seen.event async for seen in seeing]] == ["1", "job", "end", "status"]


async def test_nginx_passes_on_hookcast_s_own_503(fal: FalDouble, database_url: str, certificate: Path) -> None:
    """With its code, and with when to come back: on streams as elsewhere."""
    async with (
        running_node(fal, database_url=database_url, max_streams=1) as node,
        running_proxy("nginx", node.url, certificate) as proxy,
        httpx.AsyncClient(base_url=proxy.url, verify=trusting(proxy)) as web,
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


async def test_nginx_turns_to_the_next_node_when_one_is_away(
    fal: FalDouble, postgres_url: str, certificate: Path
) -> None:
    """Streams, reads and webhooks, without a gap."""
    shared: dict[str, Any] = {"database_url": postgres_url, "resync_seconds": 0.05}
    async with (
        running_node(fal, **shared) as one,
        running_node(fal, **shared) as two,
        running_proxy("nginx", one.url, certificate, second=two.url) as proxy,
        httpx.AsyncClient(base_url=proxy.url, verify=trusting(proxy)) as web,
    ):
        assert [(await web.get("/api/fal-jobs")).status_code for _ in range(4)] == [200] * 4
        await gone(one)
        for number in range(8):
            body = fal.webhook(f"job-{number}")
            answer = await web.post("/api/webhooks/fal", content=body, headers=sign(body, fal.key))
            assert answer.status_code == 200
            assert (await web.get(f"/api/fal-jobs/job-{number}/events")).text.endswith("data: {}\n\n")


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

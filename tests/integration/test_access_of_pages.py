"""Pages of other sites: those of allowed origins may ask, and no others."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from support.access import ADMIN, API_KEY, SECRET, SETTINGS, token
from support.closed import closing
from support.fal import ENDPOINT, FalDouble
from support.raw import get, raw
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


@pytest.fixture
async def closed(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server that asks for keys and tokens, with a job of user-1 in the group g."""
    async with closing(database_url, fal) as node:
        yield node


@pytest.mark.parametrize(("origin", "status"), [("https://evil.test", 403), ("https://app.test", 202)])
async def test_an_owner_cancels_from_the_pages_of_allowed_origins(
    database_url: str, fal: FalDouble, origin: str, status: int
) -> None:
    """As other writes: a page of another site may not, and the browser lets an allowed one."""
    fal.script("/cancel", httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}))
    settings = {"api_keys": API_KEY, "token_secret": SECRET, "allowed_origins": "https://app.test"}
    async with running_node(fal, database_url=database_url, **settings) as node:
        await node.client.put("/api/fal-jobs/job-1", json={"owner": "u", "endpointId": ENDPOINT}, headers=ADMIN)
        headers = {"Authorization": f"Bearer {token(sub='u')}", "Origin": origin}
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        before = await node.client.options("/api/fal-jobs/job-1/cancel", headers={"Origin": origin, **asks})
        assert before.status_code == (200 if status == 202 else 400)
        assert (await node.client.post("/api/fal-jobs/job-1/cancel", headers=headers)).status_code == status


@pytest.fixture
def origins() -> dict[str, str]:
    """One page's origin."""
    return {"allowed_origins": "https://app.example.com"}


async def test_pages_of_allowed_origins_may_ask(database_url: str, fal: FalDouble, origins: dict[str, str]) -> None:
    """Preflight, answers and streams; others get no leave to read."""
    async with running_node(fal, database_url=database_url, **SETTINGS, **origins) as node:
        await node.client.put("/api/fal-jobs/job-1", json={}, headers=ADMIN)
        for origin, allowed in (("https://app.example.com", True), ("https://evil.example", False)):
            expected = origin if allowed else None
            ask = {
                "Origin": origin,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization, last-event-id, if-none-match",
            }
            preflight = await node.client.options("/api/fal-jobs/job-1", headers=ask)
            assert preflight.headers.get("access-control-allow-origin") == expected
            assert preflight.is_success is allowed
            poll = await node.client.get("/api/fal-jobs/job-1", headers={**ADMIN, "Origin": origin})
            assert poll.headers.get("access-control-allow-origin") == expected
            assert "access-control-allow-credentials" not in poll.headers
            async with node.client.stream(
                "GET", "/api/fal-jobs/job-1/events", headers={**ADMIN, "Origin": origin}
            ) as events:
                assert events.headers.get("access-control-allow-origin") == expected
                assert events.headers["vary"] == "Origin"


async def test_a_websocket_of_another_sites_page_is_refused(
    database_url: str, fal: FalDouble, origins: dict[str, str]
) -> None:
    """Browsers do not ask before they open one; programs send no Origin."""
    async with running_node(fal, database_url=database_url, **SETTINGS, **origins) as node:
        url = f"ws{node.url[4:]}/api/fal-jobs/ws?token={API_KEY}"
        for origin in (None, "https://app.example.com", node.url):
            async with connect(url, proxy=None, origin=origin):  # type: ignore[arg-type]
                pass
        for origin in ("https://evil.example", "null", "http://localhost:3000"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, proxy=None, origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
            assert json.loads(refused.value.response.body)["code"] == "origin_not_allowed"


async def test_an_open_server_takes_nothing_from_other_sites_pages(node: Node) -> None:
    """A page that a developer happens to visit must not submit jobs, by whatever name it finds the server."""
    request = get("/api/fal-jobs/job-1", "Origin: {}", "Content-Length: 2", method="PUT").decode() + "{{}}"
    for origin, host, allowed in (
        ("https://evil.example", "127.0.0.1", False),
        ("http://evil.example", "evil.example", False),
        ("null", "127.0.0.1", False),
        ("http://localhost:5173", "127.0.0.1", True),
        ("https://hookcast.example", "hookcast.example", True),
    ):
        async with raw(node) as client:
            await client.send(request.replace("Host: x", f"Host: {host}").format(origin).encode())
            status = (await client.until(b"\r\n\r\n")).split()[1]
            assert (status in {b"200", b"201"}, status == b"403") == (allowed, not allowed)

"""Strangers that take every connection there is, on a server that may open few files."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from support.connections import connected
from support.fal import FalDouble, forged, sign
from support.jwks import published_to_threads
from support.raw import get
from support.served import Served
from support.web import Web

pytestmark = pytest.mark.anyio
KEY = SigningKey(bytes(32))
FILES = 64
STRANGERS = 250


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server that may open FILES files."""
    with published_to_threads(KEY) as jwks:
        settings = {"database_url": f"sqlite:///{tmp_path / 'hookcast.db'}", "fal_jwks_url": jwks}
        running = Served(tmp_path, settings, open_files=FILES)
        try:
            await running.start()
            yield running
        finally:
            await running.kill()


BODY = [f"{name}: {value}" for name, value in forged().items()]
WAYS = {
    "silent": b"",
    "slow heads": b"GET /healthz HTTP/1.1\r\nX: ",
    "idle": get("/healthz"),
    "refused": b"nonsense\r\n\r\n",
    "slow bodies": get("/api/webhooks/fal", *BODY, "Content-Length: 9000", method="POST") + b"x",
    "refused bodies": get("/api/webhooks/fal", "Content-Length: 9000", method="POST") + b"x",
}


async def test_connections_of_strangers_leave_room_for_fal(server: Served) -> None:
    """Its webhook is taken while they hold theirs, and the log says what happens."""
    web = Web()
    for way in WAYS.values():
        async with AsyncExitStack() as strangers:
            for _ in range(STRANGERS):
                _, writer = await strangers.enter_async_context(connected(server.port))
                writer.write(way)
            body = FalDouble().webhook("job-1")
            status, _ = await web.request(server.port, "POST", "/api/webhooks/fal", headers=sign(body, KEY), body=body)
            assert status == 200
            await web.close()  # a stranger may still be let in, for whom the server closes a connection that is idle
            assert (await web.request(server.port, "GET", "/healthz"))[0] == 200
    await web.close()
    assert await server.stop() == 0
    events = [json.loads(line)["event"] for line in server.log.read_text().splitlines()]
    assert "connections_full" in events
    assert len(events) < 100

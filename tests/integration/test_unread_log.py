"""A server whose standard error is a pipe that nobody reads."""

import asyncio
import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from support.fal import sign
from support.jwks import published_to_threads
from support.served import Served
from support.web import Web

pytestmark = pytest.mark.anyio
WELL_SECONDS = 10.0  # a server that waits for its log never answers


async def test_a_full_log_stops_nothing_and_tells_later_what_it_left_out(tmp_path: Path) -> None:
    """A thousand forged webhooks are refused, and the server goes on answering."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4095 + b"\n")
    with published_to_threads(SigningKey.generate()) as jwks:
        settings = {"database_url": f"sqlite:///{tmp_path / 'hookcast.db'}", "fal_jwks_url": jwks}
        server, web = Served(tmp_path, settings), Web()
        await server.spawn(stderr=writing)
        os.close(writing)
        try:
            await server.ready()
            await server.opened()
            for _ in range(1000):
                headers = sign(b"{}", SigningKey(bytes(32)))
                status, _ = await web.request(server.port, "POST", "/api/webhooks/fal", headers=headers, body=b"{}")
                assert status == 401
            async with asyncio.timeout(WELL_SECONDS):
                assert (await web.request(server.port, "GET", "/healthz"))[0] == 200
            lines = await asyncio.to_thread(_read_to_the_number, reading)
            refused = [line for line in lines if line["event"] == "webhook_refused"]
            assert sum(line.get("suppressed", 1) for line in refused) == 1000
            assert len(refused) < 500
        finally:
            await server.kill()
            await web.close()
            os.close(reading)


def _read_to_the_number(reading: int) -> list[dict[str, Any]]:
    """Read until all refusals are told of."""
    seen = b""
    while True:
        seen += os.read(reading, 65536)
        whole = seen[: seen.rfind(b"\n")].splitlines()[1:]
        lines = [json.loads(line) for line in whole]
        if sum(line.get("suppressed", 1) for line in lines if line["event"] == "webhook_refused") >= 1000:
            return lines

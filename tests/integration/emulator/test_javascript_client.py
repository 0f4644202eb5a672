"""fal's own JavaScript client against the emulator, changed in nothing but the host."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from integration.emulator.playing import DEADLINE, Emulated

pytestmark = pytest.mark.anyio

CLIENTS = Path(__file__).parents[2] / "clients"
PHASES = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


@pytest.fixture
async def told(fal: Emulated) -> Any:
    """What the client saw, as tests/clients/fal-client.mjs prints it."""
    if not (CLIENTS / "node_modules" / "@fal-ai" / "client").is_dir():
        pytest.fail("@fal-ai/client is not installed; run `npm ci` in tests/clients.")
    process = await asyncio.create_subprocess_exec(
        "node",
        "fal-client.mjs",
        fal.url,
        cwd=CLIENTS,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


async def test_javascript_client_is_content(told: Any) -> None:
    """Submit, status, stream, polling, result, cancel and errors all come out as the client promises."""
    _check_queue(told["queue"])
    _check_stream(told["stream"])
    for mode in ("polling", "streaming"):
        assert told[mode]["statuses"] == PHASES
        assert told[mode]["last"]["status"] == "COMPLETED"
        assert told[mode]["lines"] == 7
    _check_errors(told)
    assert told["whole"]["data"]["video"]["file_name"] == "video.mp4"
    assert told["whole"]["requestId"]


def _check_queue(queue: Any) -> None:
    assert queue["submitted"]["status"] == "IN_QUEUE"
    assert queue["status"]["queue_position"] == 3
    assert (queue["early"]["status"], queue["early"]["body"]) == (400, {"detail": "Request is still in progress"})
    assert queue["cancelled"]
    assert (queue["again"]["status"], queue["again"]["body"]) == (400, {"status": "ALREADY_COMPLETED"})


def _check_stream(stream: Any) -> None:
    assert list(dict.fromkeys(stream["statuses"])) == PHASES
    assert stream["streamRequestId"] == stream["requestId"] == stream["result"]["requestId"]
    assert stream["last"]["status"] == "COMPLETED"
    assert stream["result"]["data"]["video"]["content_type"] == "video/mp4"


def _check_errors(told: Any) -> None:
    assert told["error"]["last"]["error"] == "Invalid status code: 422"
    assert told["error"]["error"]["validation"]
    assert told["error"]["error"]["body"]["detail"][0]["loc"] == ["body", "prompt"]
    assert (told["unknown"]["api"], told["unknown"]["status"]) == (True, 404)

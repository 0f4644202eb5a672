"""What serving commands write: plain lines on standard output, JSON on standard error, at the level asked for."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support.commands import hookcast
from support.ports import quiet_port
from support.redis import Redis

pytestmark = pytest.mark.anyio
DEADLINE = 240.0
NOWHERE = {"HOOKCAST_FAL_QUEUE_URL": "http://127.0.0.1:1", "HOOKCAST_FAL_JWKS_URL": "http://127.0.0.1:1"}


async def output(folder: Path, *arguments: str, lines: int, **settings: str) -> tuple[str, list[dict[str, Any]]]:
    """Run a command until it has written `lines` to its output, and stop it; return its output and its log."""
    environment = {**os.environ, **NOWHERE, **settings}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hookcast", *arguments),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(DEADLINE):
                said = [(await process.stdout.readline()).decode() for _ in range(lines)]
                process.send_signal(signal.SIGTERM)
                rest, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0
    return "".join(said) + rest.decode(), [json.loads(line) for line in (folder / "log").read_text().splitlines()]


async def test_a_server_writes_json_to_its_log_and_a_line_to_its_output(tmp_path: Path) -> None:
    port = str(quiet_port())
    said, log = await output(tmp_path, "serve", "--port", port, lines=1)
    assert said.endswith(f" listens on http://127.0.0.1:{port}\n")
    assert said.count("\n") == 1
    found = [line["event"] for line in log]
    assert {"settings", "limits", "started"} <= set(found)
    assert all({"event", "level", "timestamp"} <= line.keys() for line in log)


@pytest.mark.parametrize("level", ["warning", "ERROR"])
async def test_a_server_logs_from_the_level_on_that_is_set(tmp_path: Path, level: str) -> None:
    _, log = await output(tmp_path, "serve", "--port", str(quiet_port()), lines=1, HOOKCAST_LOG_LEVEL=level)
    found = {line["level"] for line in log}
    assert found <= ({"warning", "error"} if level == "warning" else {"error"})
    assert (level == "ERROR") == (not found)


async def test_workers_and_their_parent_write_one_format(
    tmp_path: Path, postgres_url: str, redis_server: Redis
) -> None:
    """Each line of a worker names its process; the level is that of all."""
    settings = {"HOOKCAST_DATABASE_URL": postgres_url, "HOOKCAST_REDIS_URL": redis_server.url}
    command = ("serve", "--workers", "2", "--port", str(quiet_port()))
    _, log = await output(tmp_path, *command, lines=3, **settings)
    started = {line["pid"] for line in log if line["event"] == "worker_started"}
    assert started == {line["pid"] for line in log if line["event"] == "started"}
    _, log = await output(tmp_path, *command, lines=3, **settings, HOOKCAST_LOG_LEVEL="error")
    assert log == []


async def test_the_emulator_and_dev_obey_the_level(tmp_path: Path) -> None:
    """`dev` says nothing at info unless it is asked to."""
    said, log = await output(tmp_path, "emulator", "--port", str(quiet_port()), lines=1, HOOKCAST_LOG_LEVEL="debug")
    assert (said.count("\n"), log) == (1, [])
    ports = ("--port", str(quiet_port()), "--emulator-port", str(quiet_port()))
    _, log = await output(tmp_path, "dev", *ports, lines=6, HOOKCAST_PUBLIK_URL="x")
    assert [line["event"] for line in log] == ["settings"]
    _, log = await output(tmp_path, "dev", *ports, lines=6, HOOKCAST_LOG_LEVEL="info")
    assert "cleaned" in {line["event"] for line in log} or log == []


@pytest.mark.parametrize("command", ["serve", "emulator"])
async def test_a_level_that_does_not_exist_is_one_plain_line(tmp_path: Path, command: str) -> None:
    said = await hookcast(tmp_path, command, HOOKCAST_LOG_LEVEL="loud")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("hookcast: Wrong settings: HOOKCAST_LOG_LEVEL: ")


async def test_a_server_that_fails_says_so_in_its_log(tmp_path: Path) -> None:
    """Its last line: a log collector reads nothing else."""
    (tmp_path / "hookcast.db").write_bytes(b"no database" * 1000)
    said = await hookcast(tmp_path, "serve", HOOKCAST_PORT=str(quiet_port()), **NOWHERE)
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert (said.code, lines[-1]["event"], lines[-1]["exit_code"]) == (2, "stopped", 2)

"""deploy/hookcast.service: checked by systemd's own tools, and at work in its sandbox."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.access import ADMIN, API_KEY
from support.deploy import ROOT, Backends, Fal
from support.deploy_systemd import UNIT, Machine, running_machine
from support.ports import quiet_port

pytestmark = pytest.mark.anyio
EXPOSURE = 1.5  # of 10; systemd calls up to 2 "OK", its best word but one
NEWER = ("RestartSteps", "RestartMaxDelaySec")  # since systemd 254
DEADLINE = 40.0


def test_systemd_finds_no_mistake_in_it(tmp_path: Path) -> None:
    """But settings that it is too old to know."""
    unit = tmp_path / "hookcast.service"
    unit.write_text(UNIT.read_text().replace("/opt/hookcast/bin/hookcast", "/bin/true"))
    done = _analyze("verify", "--man=no", str(unit))
    said = [line for line in done.stderr.splitlines() if not any(f"'{name}'" in line for name in NEWER)]
    assert (done.returncode, said) == (0, [])


def test_it_is_exposed_as_little_as_a_server_can_be() -> None:
    done = _analyze("security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(UNIT))
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout


def _analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_COLORS": "0"}
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine on which the unit is enabled. Root alone can boot one; CI is root."""
    if os.geteuid() != 0 and "CI" not in os.environ:
        pytest.skip("only root can boot a systemd of its own")
    with running_machine() as booted:
        booted.systemctl("enable", "hookcast")
        yield booted


@pytest.fixture
def port() -> int:
    """Where the service listens."""
    return quiet_port()


@pytest.fixture
def environment(port: int, filled: dict[str, str], falhost: Fal) -> str:
    """/etc/hookcast.env: .env.example with its empty values filled in, and what the test adds."""
    text = (ROOT / ".env.example").read_text()
    values = {**filled, "HOOKCAST_PUBLIC_URL": "https://hookcast.example"}
    for name in re.findall(r"^(\w+)=$", text, re.MULTILINE):
        text = text.replace(f"\n{name}=\n", f"\n{name}={values[name]}\n")
    more = {**falhost.settings, "HOOKCAST_PORT": str(port)}
    return text + "".join(f"{name}={value}\n" for name, value in more.items())


async def test_the_service_works_in_its_sandbox(machine: Machine, environment: str, port: int, falhost: Fal) -> None:
    """It verifies a webhook, keeps the job over a restart, measures itself, and is refused nothing that it needs."""
    machine.configure(environment)
    machine.systemctl("start", "hookcast")
    async with _client(port) as client:
        await _ready(client)
        await client.put("/api/fal-jobs/job-1", json={})
        body = json.dumps(
            {"request_id": "job-1", "gateway_request_id": "job-1", "status": "OK", "payload": {}}
        ).encode()
        await client.post("/api/webhooks/fal", content=body, headers=falhost.headers(body))
        await asyncio.to_thread(machine.systemctl, "restart", "hookcast")
        await _ready(client)
        assert (await client.get("/api/fal-jobs/job-1")).json()["status"] == "completed"
        assert "process_resident_memory_bytes" in (await client.get("/metrics")).text
    machine.systemctl("stop", "hookcast")
    assert machine.shows("Result") == "success"
    records = [json.loads(line) for line in machine.log.splitlines() if not line.startswith("Hookcast ")]
    assert {record["event"] for record in records} <= {"settings", "limits", "started", "webhook"}
    assert API_KEY not in machine.log


async def test_workers_work_in_the_sandbox_and_stop_in_order(
    machine: Machine, environment: str, port: int, backends: Backends
) -> None:
    """With PostgreSQL and Redis, by the change that the unit's first lines show; a stream is told to come back."""
    databases = {
        "HOOKCAST_DATABASE_URL": f"postgresql://hookcast@{backends.database}",
        "HOOKCAST_REDIS_URL": f"redis://{backends.redis}",
    }
    [change] = re.findall(r"^#   \[Service\]\n((?:#   .*\n)+)", UNIT.read_text(), re.MULTILINE)
    service = change.replace("#   ", "").replace("--workers 4", "--workers 2")
    machine.configure(environment + "".join(f"{name}={value}\n" for name, value in databases.items()), service)
    machine.systemctl("start", "hookcast")
    async with _client(port) as client:
        await _ready(client)
        async with client.stream("GET", "/api/fal-jobs/job-2/events") as stream:
            chunks = stream.aiter_text()
            assert (await anext(chunks)).startswith("retry:")
            stopping = asyncio.ensure_future(asyncio.to_thread(machine.systemctl, "stop", "hookcast"))
            assert "retry:" in "".join([chunk async for chunk in chunks])
            await stopping
    assert machine.shows("Result") == "success"
    assert '"level":"error"' not in machine.log


async def test_a_wrong_setting_is_told_and_not_tried_again(machine: Machine, environment: str) -> None:
    """Exit code 2, one line, no restart."""
    machine.configure(environment + "HOOKCAST_DRAIN_SECONDS=soon\n")
    machine.systemctl("start", "hookcast", check=False)
    async with asyncio.timeout(DEADLINE):
        while machine.shows("ActiveState") != "failed":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (machine.shows("ExecMainStatus"), machine.shows("NRestarts")) == ("2", "0")
    [line] = machine.log.splitlines()
    assert line.startswith("hookcast: Wrong settings: HOOKCAST_DRAIN_SECONDS")


async def test_a_service_that_was_killed_comes_back(machine: Machine, environment: str, port: int) -> None:
    machine.configure(environment)
    machine.systemctl("start", "hookcast")
    async with _client(port) as client:
        await _ready(client)
        machine.systemctl("kill", "--signal=KILL", "hookcast")
        async with asyncio.timeout(DEADLINE):
            while machine.shows("NRestarts") == "0":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await _ready(client)
    machine.systemctl("stop", "hookcast")


def _client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=ADMIN, timeout=DEADLINE)


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                if (await client.get("/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)

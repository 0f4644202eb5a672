"""`hookcast doctor` as a command, against a whole server."""

import json
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hookcast.emulator import begin_shutdown, create_emulator
from support.commands import hookcast
from support.fal import FalDouble
from support.falhost import served_app
from support.ports import quiet_port
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def settle_open_files() -> Iterator[None]:
    """The doctor looks at this process, too."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_the_doctor_s_visit_is_counted_as_nothing(
    tmp_path: Path, whole: tuple[Node, str], database_url: str
) -> None:
    """No webhook, no refusal in the log: what an alarm looks at stays as it was."""
    node, emulator = whole
    before = await _counted(node)
    with capture_logs() as lines:
        said = await hookcast(tmp_path, "doctor", **_of(node, emulator, database_url))
    assert f"{node.url} reaches this server" in said.out
    assert await _counted(node) == before
    assert [line for line in lines if line["log_level"] in {"warning", "error"}] == []


async def test_the_environment_of_requests_is_looked_at(tmp_path: Path) -> None:
    said = await hookcast(tmp_path, "doctor", SSL_CERT_FILE="/nonexistent")
    assert (said.code, said.err) == (1, "")
    assert "SSL_CERT_FILE=/nonexistent" in said.out


async def _counted(node: Node) -> list[str]:
    """What Hookcast's own counters say."""
    lines = (await node.client.get("/metrics")).text.splitlines()
    return [line for line in lines if line.startswith("hookcast_") and "_total" in line]


def _of(node: Node, emulator: str, database_url: str) -> dict[str, str]:
    """The settings of a server and its fal."""
    return {
        "FAL_KEY": "secret-0",
        "HOOKCAST_DATABASE_URL": database_url,
        "HOOKCAST_FAL_QUEUE_URL": emulator,
        "HOOKCAST_FAL_JWKS_URL": f"{emulator}/.well-known/jwks.json",
        "HOOKCAST_PUBLIC_URL": node.url,
    }


@pytest.fixture
async def whole(database_url: str) -> AsyncIterator[tuple[Node, str]]:
    """A server whose fal is the emulator, and the emulator's address."""
    emulated = create_emulator()
    async with (
        served_app(emulated, lambda: begin_shutdown(emulated)) as emulator,
        running_node(FalDouble(), emulator=emulator, database_url=database_url) as node,
    ):
        yield node, emulator


async def test_the_command_prints_a_line_each_and_ends_with_0_or_1(
    tmp_path: Path, whole: tuple[Node, str], database_url: str
) -> None:
    """Against a running server; one wrong setting, one closed port."""
    node, emulator = whole
    settings = _of(node, emulator, database_url)
    said = await hookcast(tmp_path, "doctor", **settings)
    assert (said.code, said.err) == (0, "")
    levels = [line.split()[0] for line in said.out.splitlines()]
    assert len(levels) == 11
    assert set(levels) <= {"ok", "warn"}
    gone = await hookcast(tmp_path, "doctor", **settings | {"HOOKCAST_PUBLIC_URL": f"http://127.0.0.1:{quiet_port()}"})
    assert (gone.code, gone.err) == (1, "")
    assert [line.split()[1] for line in gone.out.splitlines() if line.startswith("fail")] == ["PUBLIC_URL"]
    wrong = await hookcast(tmp_path, "doctor", HOOKCAST_PORT="x")
    assert (wrong.code, len(wrong.out.splitlines()), "HOOKCAST_PORT" in wrong.out) == (1, 1, True)
    assert "secret-0" not in json.dumps([said.out, gone.out, wrong.out])

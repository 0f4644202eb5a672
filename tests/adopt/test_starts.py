"""The commands in docs/adopt/ that start Hookcast, in a shell: the key opens it, and the page's origin is allowed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.commands import DEADLINE, clean_environment
from support.dev import wait_for_database
from support.ports import quiet_port
from support.readmes import ROOT

SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    page.name: block
    for page in sorted((ROOT / "docs/adopt").glob("*.md"))
    for block in SHELL.findall(page.read_text())
    if "hookcast dev" in block
}


@pytest.fixture(params=list(COMMANDS.values()), ids=list(COMMANDS))
def command(request: pytest.FixtureRequest) -> str:
    """A page's."""
    return str(request.param)


@pytest.fixture
def address(command: str, tmp_path: Path) -> Iterator[str]:
    """Where it then is."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-euc", command],
        cwd=tmp_path,
        env=clean_environment({"PATH": path, "HOOKCAST_PORT": str(quiet_port())}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        found = next(found[1] for line in process.stdout if (found := re.search(r"Demo page\s+(\S+)", line)))
        wait_for_database(found)
        yield found.rstrip("/")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=DEADLINE)


def test_a_command_starts_what_the_page_goes_on_with(command: str, address: str) -> None:
    (origin,) = re.findall(r"HOOKCAST_ALLOWED_ORIGINS=(\S+)", command)
    headers = {"Authorization": "Bearer dev-key", "Origin": origin}
    answer = httpx.post(f"{address}/api/tokens", json={"sub": "user-1"}, headers=headers, timeout=DEADLINE)
    assert answer.raise_for_status().json()["token"]
    assert answer.headers["Access-Control-Allow-Origin"] in {origin, "*"}

"""The examples of docs/access.md make tokens that the server takes, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.access import ADMIN, SECRET, SETTINGS
from support.fal import FalDouble
from support.server import running_node

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/access.md").read_text()


def example(language: str) -> str:
    """The page's code block in this language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", example("python")],
        ["node", "--input-type=module", "-e", example("ts")],
        [sys.executable, "-m", "hookcast", "token", "--sub", "user-1", "--group", "project-456"],
    ],
    ids=["python", "typescript", "command line"],
)
async def test_a_token_made_elsewhere_is_taken(database_url: str, fal: FalDouble, command: list[str]) -> None:
    """It shows the owner's jobs and the group's, and no others."""
    environment = {**os.environ, "HOOKCAST_TOKEN_SECRET": SECRET}
    made = subprocess.run(
        command, cwd=ROOT / "tests/clients", env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        for name, facts in (("a", {"owner": "user-1"}), ("b", {"group": "project-456"}), ("c", {"owner": "user-2"})):
            await node.client.put(f"/api/fal-jobs/{name}", json=facts, headers=ADMIN)
        listed = (await node.client.get("/api/fal-jobs", headers=headers)).json()["jobs"]
    assert {job["requestId"] for job in listed} == {"a", "b"}

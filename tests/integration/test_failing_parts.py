"""Failures inside a node: one that it can live without stays with its job, any other ends the process."""

import asyncio
import sys
from pathlib import Path

import pytest

from support.commands import clean_environment
from support.ports import quiet_port

pytestmark = pytest.mark.anyio

# Replaces one method before the command runs: no setting makes these parts fail.
_SERVE = """
import sys
from hookcast.push.wheel import Wheel
from hookcast.store.batching import Batch
from hookcast.bus.local import LocalBus
from hookcast.upkeep.leases import LeaseKeeper
from hookcast.__main__ import main

async def fail(*_):
    raise LookupError("a bug")

{part} = fail
sys.argv = ["hookcast", "serve"]
main()
"""


@pytest.mark.parametrize("part", ["Wheel.turn", "Batch.run", "LeaseKeeper.run"])
async def test_a_part_that_the_node_needs_ends_the_process_when_it_fails(part: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVE.format(part=part)),
        cwd=tmp_path,
        env=clean_environment({"HOOKCAST_PORT": str(quiet_port()), "HOOKCAST_FAL_KEY": "id:secret"}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        _, log = await process.communicate()
    assert process.returncode not in {0, None}, log
    assert "LookupError: a bug" in log.decode()

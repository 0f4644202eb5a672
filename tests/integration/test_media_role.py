"""A bucket with credentials of a role."""

import asyncio
from pathlib import Path

import pytest

from support.fal import FalDouble
from support.roles import running_role
from support.server import DEADLINE, running_node

pytestmark = pytest.mark.anyio


async def test_credentials_of_a_role_are_there_before_anybody_reads(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_role(tmp_path, monkeypatch) as role:
        url = "s3://media/p?region=us-east-1"
        async with running_node(FalDouble(), database_url=database_url, media_url=url), asyncio.timeout(DEADLINE):
            while not role.requests:  # noqa: ASYNC110 - another thread's doing
                await asyncio.sleep(0.001)

"""Jobs whose files are being copied: what may end them, and results of unusual size."""

from pathlib import Path

import pytest

from hookcast.upkeep import unkept
from support.fal import FalDouble
from support.keeping import MP4, PNG, ended, keeper, links, submit
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


async def begun(node: Node, request_id: str) -> None:
    """Wait until a file of the job is being copied."""
    async with node.events(request_id) as events:
        async for event in events:
            if event.event == "job" and '"status":"copying"' in event.data:
                return


async def test_without_a_storage_a_job_is_completed_with_fals_links(
    fal_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator has removed HOOKCAST_MEDIA_URL in the middle of a copy."""
    monkeypatch.setattr(unkept, "OVERDUE_SECONDS", 0.0)
    slow = {"content_type": MP4, "bytes": 3_000_000, "bytes_per_second": 500_000}
    async with keeper(fal_url, database_url, tmp_path) as node:
        request_id = await submit(node, slow)
        await begun(node, request_id)
    async with running_node(FalDouble(), emulator=fal_url, database_url=database_url) as node:
        state = await ended(node, request_id)
    [file] = state["media"]
    assert (state["status"], file["status"], file["error"]) == ("completed", "left", unkept.NO_STORAGE)
    assert links(state["result"]) == [file["source"]]


async def test_while_files_are_copied_nothing_else_changes_the_job(keeping: Node) -> None:
    slow = {"content_type": MP4, "bytes": 2_000_000, "bytes_per_second": 400_000}
    request_id = await submit(keeping, slow, faults=["webhook_thrice"])
    await begun(keeping, request_id)
    cancel = await keeping.client.post(f"/api/fal-jobs/{request_id}/cancel")
    assert (cancel.status_code, cancel.json()["code"]) == (409, "already_terminal")
    removal = await keeping.client.delete(f"/api/fal-jobs/{request_id}")
    assert (removal.status_code, removal.json()["code"]) == (409, "not_terminal")
    state = await ended(keeping, request_id)
    assert (state["status"], state["endedBy"], state["media"][0]["status"]) == ("completed", "webhook", "kept")


async def test_five_hundred_files_of_one_result_are_kept(keeping: Node, tmp_path: Path) -> None:
    state = await ended(keeping, await submit(keeping, *({"content_type": PNG, "bytes": 2000} for _ in range(500))))
    assert [file["status"] for file in state["media"]] == ["kept"] * 500
    assert len(list((tmp_path / "media").glob("*/*-*.png"))) == 500


async def test_data_uris_of_megabytes_leave_the_state_in_postgresql_too(
    fal_url: str, postgres_url: str, tmp_path: Path
) -> None:
    inline = {"content_type": PNG, "bytes": 3_000_000, "data_uri": True}
    async with keeper(fal_url, postgres_url, tmp_path) as node:
        state = await ended(node, await submit(node, inline, inline))
        assert [file["bytes"] for file in state["media"]] == [3_000_000] * 2
        assert len((await node.client.get(f"/api/fal-jobs/{state['requestId']}")).content) < 10_000

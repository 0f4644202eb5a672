"""Files of results: copied into a directory before the job is completed, served, and removed with the job."""

import hashlib
import math
from pathlib import Path

import httpx
import msgspec
import pytest

from hookcast.emulator import file_content
from hookcast.errors import StoreUnavailable
from hookcast.store import WorkTable
from support.keeping import MP4, PNG, ended, keeper, links, submit
from support.measured import values
from support.server import Node, until

pytestmark = pytest.mark.anyio


async def test_each_file_is_kept_and_its_link_replaced(keeping: Node) -> None:
    request_id = await submit(keeping, {"content_type": MP4, "bytes": 3_000_000}, {"content_type": PNG, "bytes": 7000})
    state = await ended(keeping, request_id)
    assert [file["status"] for file in state["media"]] == ["kept", "kept"]
    assert sorted(links(state["result"])) == sorted(file["url"] for file in state["media"])
    for place, (kind, size) in enumerate(((MP4, 3_000_000), (PNG, 7000))):
        file = state["media"][place]
        content = file_content(request_id, place, content_type=kind, size=size)
        served = await keeping.client.get(file["url"])
        assert (file["sha256"], file["bytes"], file["contentType"]) == (content.sha256(), size, kind)
        assert hashlib.sha256(served.content).hexdigest() == file["sha256"]
        assert served.headers["content-type"] == kind


async def test_a_data_uri_becomes_a_file_and_leaves_the_state(keeping: Node) -> None:
    state = await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 100_000, "data_uri": True}))
    assert state["media"][0]["source"] == "data:image/png"
    assert links(state["result"]) == [state["media"][0]["url"]]
    assert b"base64" not in (await keeping.client.get(f"/api/fal-jobs/{state['requestId']}")).content


async def test_a_job_completes_though_a_file_is_not_to_be_had(keeping: Node) -> None:
    state = await ended(
        keeping,
        await submit(
            keeping,
            {"content_type": PNG, "fault": "web_page"},
            {"content_type": PNG, "fault": "redirect_loop"},
            {"content_type": PNG, "bytes": 5000},
        ),
    )
    assert state["status"] == "completed"
    assert [file["status"] for file in state["media"]] == ["left", "left", "kept"]
    assert [bool(file["error"]) for file in state["media"]] == [True, True, False]
    for file in state["media"][:2]:
        assert file["source"] in links(state["result"])


async def test_a_file_that_breaks_off_once_is_copied_again(keeping: Node) -> None:
    broken = {"content_type": MP4, "bytes": 2_000_000, "fault": "cut", "times": 1, "at": 700_000}
    state = await ended(keeping, await submit(keeping, broken))
    assert [(file["status"], file["bytes"]) for file in state["media"]] == [("kept", 2_000_000)]


async def test_a_watcher_sees_the_copy_grow_before_the_result(keeping: Node) -> None:
    slow = {"content_type": MP4, "bytes": 3_000_000, "bytes_per_second": 600_000}
    request_id = await submit(keeping, slow)
    seen = []
    async with keeping.events(request_id) as events:
        async for event in events:
            if event.event == "job":
                state = msgspec.json.decode(event.data)
                phase = state["progress"]["phase"]
                seen += [(phase, file["status"], file["bytes"], file["size"] or 0) for file in state["media"]]
                assert (state["result"] is None) == (state["status"] == "pending")
    assert any(at[:2] == ("saving", "copying") and 0 < at[2] < at[3] == 3_000_000 for at in seen)
    assert seen[-1] == ("ended", "kept", 3_000_000, 3_000_000)


async def test_a_removed_job_takes_its_files_along(keeping: Node, tmp_path: Path) -> None:
    request_id = await submit(keeping, {"content_type": PNG, "bytes": 5000})
    [file] = (await ended(keeping, request_id))["media"]
    assert (await keeping.client.delete(f"/api/fal-jobs/{request_id}")).status_code == 204
    assert (await keeping.client.get(f"/api/fal-jobs/{request_id}")).status_code == 404
    await until(lambda: not list((tmp_path / "media").glob("*/0-*")))
    assert (await keeping.client.get(file["url"])).status_code == 404
    assert (await keeping.client.delete(f"/api/fal-jobs/{request_id}")).status_code == 404


async def test_a_job_that_has_not_ended_is_not_removed(keeping: Node) -> None:
    await keeping.client.put("/api/fal-jobs/job-1", json={})
    answer = await keeping.client.delete("/api/fal-jobs/job-1")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_terminal")


async def test_a_submit_may_say_no(keeping: Node) -> None:
    state = await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 5000}, keep=False))
    assert state["media"] == []


async def test_endpoints_that_are_not_named_are_left_alone(fal_url: str, database_url: str, tmp_path: Path) -> None:
    async with keeper(fal_url, database_url, tmp_path, media_endpoints="fal-ai/kling-video/*") as node:
        state = await ended(node, await submit(node, {"content_type": PNG, "bytes": 5000}))
    assert state["media"] == []


async def test_a_copy_goes_on_after_a_restart(fal_url: str, database_url: str, tmp_path: Path) -> None:
    slow = {"content_type": MP4, "bytes": 1_500_000, "bytes_per_second": 300_000}
    async with keeper(fal_url, database_url, tmp_path) as node:
        request_id = await submit(node, slow)
        async with node.events(request_id) as events:
            async for event in events:
                if event.event == "job" and '"status":"copying"' in event.data:
                    break
    async with keeper(fal_url, database_url, tmp_path) as node:
        state = await ended(node, request_id)
    assert [file["status"] for file in state["media"]] == ["kept"]
    assert len(list((tmp_path / "media").glob("*/0-*"))) == 1
    assert not list((tmp_path / "media" / "incoming").iterdir())


@pytest.mark.parametrize("path", ["incoming/x", "../hookcast.db", "%2e%2e/hookcast.db", "job/../../hookcast.db", ""])
async def test_nothing_but_kept_files_is_served(keeping: Node, path: str) -> None:
    async with httpx.AsyncClient(base_url=keeping.url) as client:
        assert (await client.get(f"/media/{path}")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({"Range": "bytes=0-3"}, 206, "bytes 0-3/7000"),
        ({"Range": "bytes=-5"}, 206, "bytes 6995-6999/7000"),
        ({"Range": "bytes=0-0, 2-2"}, 206, None),
        ({"Range": "bytes=7000-"}, 416, "bytes */7000"),
        ({"Range": "bytes=-0"}, 416, "bytes */7000"),
        ({"Range": "bytes=7000-,9000-9999"}, 416, "bytes */7000"),
        ({"Range": "bytes=0-0,7000-"}, 200, None),
        ({"Range": "bytes=7000-", "If-Range": '"another"'}, 200, None),
        ({"Range": "bytes=7000-", "If-None-Match": "*"}, 304, None),
        ({"Range": "bytes=5-2"}, 200, None),
        ({"Range": "bytes=a-b"}, 200, None),
        ({"Range": "bytes=-"}, 200, None),
        ({"Range": "bytes"}, 200, None),
        ({"Range": "chapters=1-2"}, 200, None),
        ({"Range": "bytes=" + "9" * 5000 + "-"}, 200, None),
    ],
)
async def test_a_range_is_served_refused_or_ignored(
    keeping: Node, headers: dict[str, str], status: int, said: str | None
) -> None:
    """RFC 9110, section 14.2: what is no range of bytes asks for the whole file."""
    [file] = (await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 7000})))["media"]
    answer = await keeping.client.get(file["url"], headers=headers)
    assert (answer.status_code, answer.headers.get("content-range")) == (status, said)
    if status == 416:
        assert answer.json()["code"] == "range_not_satisfiable"
        assert answer.headers["content-type"] == "application/problem+json"
    elif status == 200:
        assert len(answer.content) == 7000


async def test_copies_are_measured(keeping: Node) -> None:
    page = {"content_type": PNG, "fault": "web_page"}
    cut = {"content_type": PNG, "bytes": 20_000, "fault": "cut", "times": 1, "at": 7_000}
    await ended(keeping, await submit(keeping, {"content_type": MP4, "bytes": 3_000_000}, page, cut))
    found = await values(keeping)
    assert found["hookcast_media_bytes_total"] == 3_020_000
    assert found["hookcast_media_copy_seconds_count"] == 2
    assert found['hookcast_media_failures_total{reason="wrong_type"}'] == 1
    assert found['hookcast_media_failures_total{reason="interrupted"}'] == 1
    assert found['hookcast_media_copies{state="running"}'] == found['hookcast_media_copies{state="waiting"}'] == 0
    assert found['hookcast_work_waiting{kind="keep"}'] == 0


async def test_work_that_waits_is_measured_until_the_database_is_away(
    keeping: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = {"content_type": MP4, "bytes": 1_000_000, "bytes_per_second": 1}
    request_id = await submit(keeping, slow)
    async with keeping.events(request_id) as events:
        async for event in events:
            if event.event == "job" and '"status":"copying"' in event.data:
                break
    found = await values(keeping)
    assert found['hookcast_work_waiting{kind="keep"}'] == found['hookcast_media_copies{state="running"}'] == 1

    async def away(_kind: str) -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(WorkTable, "waiting", lambda _self, kind: away(kind))
    assert math.isnan((await values(keeping))['hookcast_work_waiting{kind="keep"}'])

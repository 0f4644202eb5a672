"""`hookcast media`: the storage is compared with the database, and jobs from before get their files."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hookcast.cli import media_check, media_copy
from hookcast.consequences import Kind, relinking
from hookcast.errors import HookcastError
from hookcast.media.storage import key_of
from hookcast.settings import Settings, load_settings
from support.commands import hookcast, on_screen
from support.keeping import MP4, PNG, ended, keeper, links, submit
from support.ports import quiet_port
from support.server import DEADLINE, Node, until

pytestmark = pytest.mark.anyio
OLD = 2 * 3600.0
HASH = "0123456789abcdef"


class Command:
    """The commands in this process, with the settings of a server that keeps files in `folder/media`."""

    def __init__(self, database_url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.environment = {"HOOKCAST_DATABASE_URL": database_url, "HOOKCAST_MEDIA_URL": f"file://{folder}/media"}
        self._capsys = capsys

    async def check(self, *, remove: bool = False) -> tuple[int, list[dict[str, Any]]]:
        """Compare; return the exit code and the lines of JSON."""
        return await self._run(partial(media_check.run, remove=remove))

    async def copy(self) -> tuple[int, list[dict[str, Any]]]:
        """Keep the files of jobs from before; return the exit code and the lines of JSON."""
        return await self._run(media_copy.run)

    async def _run(self, work: Callable[[Settings], Awaitable[int]]) -> tuple[int, list[dict[str, Any]]]:
        given = {name.removeprefix("HOOKCAST_").lower(): value for name, value in self.environment.items()}
        self._capsys.readouterr()
        code = await work(load_settings(**given))
        printed = self._capsys.readouterr().out.splitlines()
        return code, [json.loads(line) for line in printed if line.startswith("{")]


@pytest.fixture
def command(database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The commands."""
    return Command(database_url, tmp_path, capsys)


def put(folder: Path, key: str, age: float = OLD) -> Path:
    """Put a file there that is this old."""
    path = folder / "media" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 2000)
    os.utime(path, (time.time() - age,) * 2)
    return path


async def worked_off(node: Node) -> None:
    """Wait until no job from before waits for its files."""
    async with asyncio.timeout(DEADLINE):
        while await node.services.store.work.waiting(Kind.RELINK):  # noqa: ASYNC110 - the table has no event
            await asyncio.sleep(0.01)


async def test_a_storage_that_fits_is_ok(keeping: Node, command: Command) -> None:
    await ended(
        keeping, await submit(keeping, {"content_type": MP4, "bytes": 3000}, {"content_type": PNG, "bytes": 70})
    )
    numbers = {"files": 2, "bytes": 3070, "jobs": 1, "missing": 0, "orphans": 0, "removed": 0, "drafts": 0}
    assert await command.check() == (0, [{"finding": "total"} | numbers])


async def test_a_file_that_is_gone_is_named_with_its_job(keeping: Node, command: Command, tmp_path: Path) -> None:
    state = await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 70}))
    [path] = (tmp_path / "media").glob("*/0-*")
    path.unlink()
    code, [found, total] = await command.check()
    key = str(path.relative_to(tmp_path / "media"))
    assert found == {"finding": "missing", "requestId": state["requestId"], "key": key}
    assert (code, total["missing"], total["files"]) == (1, 1, 0)


async def test_files_without_a_job_are_named_and_removed_when_asked(
    keeping: Node, command: Command, tmp_path: Path
) -> None:
    await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 70}))
    orphan = put(tmp_path, key_of("job-9", 0, HASH, "png"))
    others = [put(tmp_path, key_of("job-9", 1, HASH, "png"), age=60), put(tmp_path, "holidays/beach.jpg")]
    put(tmp_path, "incoming/job-8.abc")
    code, [found, total] = await command.check()
    key = str(orphan.relative_to(tmp_path / "media"))
    assert found == {"finding": "orphan", "key": key, "bytes": 2000, "removed": False}
    assert (code, total["orphans"], total["drafts"], orphan.exists()) == (1, 1, 1, True)
    code, [found, total] = await command.check(remove=True)
    assert (code, total["removed"], total["files"]) == (0, 1, 1)
    assert (orphan.exists(), [path.exists() for path in others]) == (False, [True, True])


async def test_people_read_what_to_do(keeping: Node, command: Command, tmp_path: Path) -> None:
    await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 70}))
    for number in range(22):
        put(tmp_path, key_of("job-9", number, HASH, "png"))
    screen = await on_screen(tmp_path, "media", "check", **command.environment)
    assert await screen.code() == 1
    assert "1 files of 1 jobs are there" in screen.text
    assert "--remove-orphans` removes them (2 more than shown)" in " ".join(screen.text.split())
    await screen.close()


async def test_files_that_are_being_copied_are_no_orphans(keeping: Node, command: Command, tmp_path: Path) -> None:
    await ended(keeping, await submit(keeping, {"content_type": PNG, "bytes": 70}))
    slow = await submit(keeping, {"content_type": MP4, "bytes": 1_000_000, "bytes_per_second": 1})
    async with keeping.events(slow) as events:
        async for event in events:
            if event.event == "job" and '"status":"copying"' in event.data:
                break
    file = put(tmp_path, key_of(slow, 1, HASH, "png"))
    assert (await command.check(remove=True))[0] == 0
    assert file.exists()


@pytest.mark.usefixtures("keeping")
async def test_nothing_is_removed_with_another_database(command: Command, tmp_path: Path) -> None:
    """Not with that of another server, nor with none."""
    orphan = put(tmp_path, key_of("job-9", 0, HASH, "png"))
    with pytest.raises(HookcastError, match="none is removed"):
        await command.check(remove=True)
    command.environment["HOOKCAST_DATABASE_URL"] = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(HookcastError, match="HOOKCAST_DATABASE_URL"):
        await command.check(remove=True)
    assert orphan.exists()
    assert not (tmp_path / "none.db").exists()


async def test_the_schema_of_the_server_is_looked_at(
    fal_url: str, postgres_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another server may have its tables in the usual one."""
    command = Command(postgres_url, tmp_path, capsys)
    command.environment["HOOKCAST_DATABASE_SCHEMA"] = "own"
    async with keeper(fal_url, postgres_url, tmp_path, database_schema="own") as node:
        await ended(node, await submit(node, {"content_type": PNG, "bytes": 70}))
        code, [total] = await command.check()
        assert (code, total["files"], total["jobs"]) == (0, 1, 1)


@pytest.mark.usefixtures("keeping")
async def test_a_storage_that_fails_is_told_in_a_line(command: Command, tmp_path: Path) -> None:
    more = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    more["HOOKCAST_MEDIA_URL"] = f"s3://bucket?endpoint=http://127.0.0.1:{quiet_port()}&region=us-east-1"
    said = await hookcast(tmp_path, "media", "check", **command.environment | more)
    assert (said.code, said.out, len(said.err.splitlines())) == (1, "", 1)


async def test_without_a_storage_the_setting_is_named(database_url: str, tmp_path: Path) -> None:
    said = await hookcast(tmp_path, "media", "copy", HOOKCAST_DATABASE_URL=database_url)
    assert (said.code, "HOOKCAST_MEDIA_URL" in said.err) == (2, True)


async def test_jobs_from_before_get_their_files(
    fal_url: str, database_url: str, command: Command, tmp_path: Path
) -> None:
    """They stay completed, one version on. What fal no longer has is left; who said no is left alone."""
    async with keeper(fal_url, database_url, tmp_path, media_url=None) as node:
        good = await ended(
            node, await submit(node, {"content_type": PNG, "bytes": 5000}, {"content_type": MP4, "bytes": 9})
        )
        page = await ended(node, await submit(node, {"content_type": PNG, "fault": "web_page"}))
        no = await ended(node, await submit(node, {"content_type": PNG, "bytes": 5000}, keep=False))
    async with keeper(fal_url, database_url, tmp_path) as node:
        code, [*course, total] = await command.copy()
        assert (code, total) == (0, {"finding": "total", "jobs": 2, "kept": 2, "left": 1})
        assert {line["finding"] for line in course} == {"progress"}
        assert (course[-1]["done"], course[-1]["total"]) == (2, 2)
        after = [await ended(node, state["requestId"]) for state in (good, page, no)]
        assert [file["status"] for file in after[0]["media"]] == ["kept", "kept"]
        assert sorted(links(after[0]["result"])) == sorted(file["url"] for file in after[0]["media"])
        assert after[0] == good | {name: after[0][name] for name in ("result", "media", "version", "updatedAt")}
        assert [new["version"] - old["version"] for old, new in zip((good, page, no), after, strict=True)] == [1, 1, 0]
        assert [file["status"] for file in after[1]["media"]] == ["left"]
        assert after[1]["result"] == page["result"]
        for file in after[0]["media"]:
            assert (await node.client.get(file["url"])).status_code == 200
        assert (await command.copy())[1] == [{"finding": "total", "jobs": 0, "kept": 0, "left": 0}]


async def test_people_see_how_far_it_is(fal_url: str, database_url: str, command: Command, tmp_path: Path) -> None:
    async with keeper(fal_url, database_url, tmp_path, media_url=None) as node:
        await ended(node, await submit(node, {"content_type": PNG, "bytes": 5000}))
    async with keeper(fal_url, database_url, tmp_path):
        screen = await on_screen(tmp_path, "media", "copy", **command.environment)
        assert await screen.code() == 0
    assert "Copying files of jobs" in screen.text
    assert "1 jobs are done: 1 files are kept, 0 were left where they are" in screen.text
    await screen.close()


async def test_what_was_interrupted_goes_on_with_the_files_that_are_missing(
    fal_url: str, database_url: str, tmp_path: Path
) -> None:
    cut = {"content_type": MP4, "bytes": 2_000_000, "fault": "cut", "times": 1, "at": 700_000}
    async with keeper(fal_url, database_url, tmp_path, media_url=None) as node:
        state = await ended(node, await submit(node, cut, {"content_type": PNG, "bytes": 70}))
    async with keeper(fal_url, database_url, tmp_path) as node:
        await node.services.store.work.start([relinking(state["requestId"])])
        await worked_off(node)
        after = await ended(node, state["requestId"])
        assert [file["status"] for file in after["media"]] == ["kept", "kept"]
        assert after["version"] == state["version"] + 1


async def test_a_job_that_is_removed_meanwhile_leaves_no_file(fal_url: str, database_url: str, tmp_path: Path) -> None:
    slow = {"content_type": MP4, "bytes": 6_000_000, "bytes_per_second": 1_200_000}
    async with keeper(fal_url, database_url, tmp_path, media_url=None) as node:
        state = await ended(node, await submit(node, slow))
    async with keeper(fal_url, database_url, tmp_path) as node:
        await node.services.store.work.start([relinking(state["requestId"])])
        await until(lambda: list((tmp_path / "media").glob("incoming/*")))
        assert (await node.client.delete(f"/api/fal-jobs/{state['requestId']}")).status_code == 204
        await worked_off(node)
        assert (await node.client.get(f"/api/fal-jobs/{state['requestId']}")).status_code == 404
        assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []

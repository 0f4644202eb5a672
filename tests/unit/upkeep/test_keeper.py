"""The keeper: no trouble of a copy, of the database or of another node makes a job hang, or removes a kept file."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw
from structlog.testing import capture_logs

from hookcast.consequences import Kind
from hookcast.jobs import Completed, Copying, JobStatus, MediaStatus, Registered
from hookcast.media.copying import Place
from hookcast.media.failures import Interrupted, Left, Reason, StorageFailed
from hookcast.media.stopping import Stop
from hookcast.store import Piece, open_store
from hookcast.upkeep import keeper as module
from hookcast.upkeep.keeper import FAULT, GIVE_UP_AFTER
from hookcast.upkeep.unkept import NO_STORAGE, Unkept
from hookcast.upkeep.worker import Done, Later
from support.scripted import RESULT, World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world with an empty store."""
    async with open_store(database_url) as store:
        yield World(store, tmp_path / "media")


def again(piece: Piece, outcome: object) -> Piece:
    """The piece as it is claimed the next time."""
    assert isinstance(outcome, Later)
    facts = piece.facts if outcome.facts is None else outcome.facts
    return msgspec.structs.replace(piece, attempts=piece.attempts + 1, facts=facts)


async def test_progress_that_cannot_be_stored_ends_no_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORT_SECONDS", 0.001)
    first, second = threading.Event(), threading.Event()

    def waits(url: str) -> bytes:
        assert (first if "0.png" in url else second).wait(60)
        return url.encode()

    world.copier.script = waits
    piece = await world.finished()
    with capture_logs() as logs:
        running = asyncio.ensure_future(world.keeper.keep(piece))
        while len(world.copier.asked) < 2:  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(0.001)
        world.outage.down = True
        first.set()
        while "copies_not_told" not in [line["event"] for line in logs]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        world.outage.down = False
        second.set()
        assert await running == Done()
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert len(world.copier.asked) == 2
    assert (await world.job()).status is JobStatus.COMPLETED


async def test_a_fault_of_one_copy_is_that_files_alone_and_ends_with_the_time(world: World) -> None:
    def broken(url: str) -> bytes:
        if "0.png" in url:
            raise ZeroDivisionError
        return url.encode()

    world.copier.script = broken
    piece = await world.finished()
    with capture_logs() as logs:
        outcome = await world.keeper.keep(piece)
        assert [file.status for file in (await world.job()).media] == [MediaStatus.WAITING, MediaStatus.KEPT]
        world.now += GIVE_UP_AFTER + timedelta(seconds=1)
        assert await world.keeper.keep(again(piece, outcome)) == Done()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["file_not_copied"] * 2
    media = (await world.job()).media
    assert [(file.status, file.error) for file in media] == [(MediaStatus.LEFT, FAULT), (MediaStatus.KEPT, None)]
    assert len(world.copier.asked) == 3


async def test_attempts_that_never_end_are_not_repeated_for_ever(world: World) -> None:
    """A host that drips holds a copy until its attempt is cancelled, which leaves no facts behind."""
    piece = await world.finished()
    world.now += GIVE_UP_AFTER + timedelta(seconds=module.MAX_COPY_SECONDS + 1)
    assert await world.keeper.keep(msgspec.structs.replace(piece, attempts=5)) == Done()
    assert world.copier.asked == []
    assert [file.status for file in (await world.job()).media] == [MediaStatus.LEFT] * 2


async def test_a_host_may_ask_for_an_hour_at_most(world: World) -> None:
    def busy(_url: str) -> bytes:
        raise Interrupted("The host answered 429.", 999_999.0)

    world.copier.script = busy
    outcome = await world.keeper.keep(await world.finished())
    assert isinstance(outcome, Later)
    assert outcome.seconds == module.MAX_WAIT_SECONDS


async def test_a_node_that_comes_too_late_removes_nothing_of_what_the_other_has_kept(world: World) -> None:
    """It was frozen in the middle, and meanwhile fal's links have ended."""
    other, others_keeper, _ = world.node()
    piece = msgspec.structs.replace(await world.finished(), attempts=2)

    def late(_url: str) -> bytes:
        if len(world.copier.asked) == 1:
            asyncio.run_coroutine_threadsafe(others_keeper.keep(piece), loop).result(60)
        raise Left(Reason.GONE, "The file is not there any more.")

    loop = asyncio.get_running_loop()
    world.copier.script = late
    await world.keeper.keep(piece)
    assert len(other.asked) == 2
    kept = [file.key for file in (await world.job()).media]
    assert world.files == kept
    await world.keeper.tidy(await world.piece(Kind.TIDY))
    assert world.files == kept


async def test_what_other_attempts_have_left_is_removed_a_minute_after_the_end(world: World) -> None:
    piece = msgspec.structs.replace(await world.finished(), attempts=2)
    await world.keeper.keep(piece)
    world.copier.script = lambda url: url.encode()[::-1]
    world.copier.copy_url("https://fal.media/0.png", Place("job-1", 0), stop=Stop())
    draft = world.storage.begin("job-1", None, "image/png", Stop())
    assert len(world.files) == 3
    assert await world.store.work.claim(Kind.TIDY, 1, "one", 60.0) == []
    await world.keeper.tidy(await world.piece(Kind.TIDY))
    assert world.files == [file.key for file in (await world.job()).media]
    assert list((world.storage.root / "incoming").iterdir()) == []
    draft.discard()


async def test_a_first_attempt_leaves_nothing_to_tidy(world: World) -> None:
    await world.keeper.keep(await world.finished())
    assert await world.store.work.waiting(Kind.TIDY) == 0


async def test_a_file_that_a_frozen_node_stores_after_the_removal_is_removed_as_well(world: World) -> None:
    await world.keeper.keep(await world.finished())
    assert await world.store.remove_job("job-1")
    piece = await world.piece(Kind.ERASE)
    outcome = await world.keeper.erase(piece)
    assert world.files == []
    world.copier.copy_url("https://fal.media/0.png", Place("job-1", 0), stop=Stop())
    assert await world.keeper.erase(again(piece, outcome)) == Done()
    assert world.files == []


async def test_a_report_of_a_frozen_node_does_not_bring_a_removed_job_back(world: World) -> None:
    await world.keeper.keep(await world.finished())
    media = (await world.job()).media
    assert await world.store.remove_job("job-1")
    change = await world.dispatcher.apply("job-1", Copying(media))
    assert not change.changed
    assert await world.store.whole("job-1") is None


async def test_a_job_that_is_registered_again_after_its_removal_keeps_its_files(world: World) -> None:
    await world.keeper.keep(await world.finished())
    assert await world.store.remove_job("job-1")
    piece = await world.piece(Kind.ERASE)
    await world.dispatcher.apply("job-1", Registered())
    await world.keeper.keep(await world.finished())
    assert await world.keeper.erase(piece) == Done()
    assert world.files == [file.key for file in (await world.job()).media]


async def test_drafts_that_cannot_be_discarded_now_delay_no_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a storage that allows no listing would hold a job for ever; `tidy` looks for them again."""

    def refuses(_folder: str) -> None:
        raise StorageFailed("The bucket answered 403.")

    monkeypatch.setattr(world.storage, "discard", refuses)
    piece = again(await world.finished(), Later(1.0))
    assert await world.keeper.keep(piece) == Done()
    assert (await world.job()).status is JobStatus.COMPLETED
    assert (await world.piece(Kind.TIDY)).request_id == "job-1"


async def test_a_node_without_a_storage_completes_a_job_with_fals_links(world: World) -> None:
    def second_fails(url: str) -> bytes:
        if "1.png" in url:
            raise Interrupted("The host answered 503.")
        return url.encode()

    world.copier.script = second_fails
    piece = await world.finished()
    await world.keeper.keep(piece)
    assert await Unkept(world.store, world.dispatcher).leave(piece) == Done()
    job = await world.job()
    assert (job.status, job.result) == (JobStatus.COMPLETED, RESULT)
    assert [(file.status, file.error) for file in job.media] == [
        (MediaStatus.KEPT, None),
        (MediaStatus.LEFT, NO_STORAGE),
    ]


async def test_fal_is_not_asked_about_a_job_whose_files_are_copied(world: World) -> None:
    await world.finished()
    assert await world.store.leases.to_ask_about(10, created_before=world.now + timedelta(hours=1)) == []


async def test_few_large_results_are_in_memory_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may have 32 MB of `data:` URIs, and no job waits for its turn with them in its hands."""
    monkeypatch.setattr(world.keeper, "_large", asyncio.Semaphore(1))
    go_on = threading.Event()

    def waits(url: str) -> bytes:
        assert go_on.wait(60)
        return url.encode()

    world.copier.script = waits
    for number in range(3):
        text = f'{{"text":"{"x" * 600_000}","url":"https://fal.media/{number}.png"}}'
        await world.dispatcher.apply(f"job-{number}", Completed(result=Raw(text.encode())), "webhook")
    pieces = await world.store.work.claim(Kind.KEEP, 10, "one", 3600.0)
    running = [asyncio.ensure_future(world.keeper.keep(piece)) for piece in pieces]
    while not world.copier.asked:  # noqa: ASYNC110 - another thread's doing
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert len(world.copier.asked) == 1
    go_on.set()
    assert await asyncio.gather(*running) == [Done()] * 3

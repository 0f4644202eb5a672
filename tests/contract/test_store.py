"""The store's verbs, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import Raw

from hookcast.auth import Caller
from hookcast.errors import StoreUnavailable
from hookcast.jobs import (
    Completed,
    Failed,
    Job,
    JobStatus,
    Kept,
    MediaFile,
    MediaStatus,
    Phase,
    Progressed,
    Registered,
    Relinked,
    Update,
    unseen,
)
from hookcast.jwks import StoredKeys
from hookcast.loglines import LogLine
from hookcast.splicing import Spot
from hookcast.store import Change, JobQuery, JobStore, open_store
from hookcast.transitions import advance

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, 0, 123000, tzinfo=UTC)
BIG = Raw(b'{"seed": 12345678901234567890, "text": "a\\u0000b \\ud83d\\ude00 \xe2\x80\xa8"}')


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


async def apply(store: JobStore, request_id: str, update: Update, *, now: datetime = NOW) -> Change:
    """Advance one job."""

    def step(job: Job | None) -> Job:
        return advance(job or unseen(request_id, now=now), update, now=now)

    return await store.change(request_id, step)


async def test_a_job_comes_back_as_it_was_stored(store: JobStore) -> None:
    """Every field, fal's JSON byte for byte."""
    facts = Registered(endpoint_id="fal-ai/flux", owner="u", group="g", metadata={"n": Raw(b"1.0")}, queue_position=3)
    await apply(store, "job-1", facts)
    await apply(store, "job-1", Progressed(phase=Phase.RUNNING, logs=(LogLine(message="50 %", timestamp="t"),)))
    change = await apply(store, "job-1", Completed(result=BIG), now=NOW + timedelta(seconds=8))
    found = await store.get("job-1")
    assert found == change.after
    assert found is not None
    assert found.result is not None
    assert bytes(found.result) == bytes(BIG)


async def test_an_unknown_job_is_none(store: JobStore) -> None:
    await apply(store, "job-1", Registered())
    assert await store.get("job-2") is None
    assert list(await store.get_many(["job-1", "job-2"])) == ["job-1"]


@pytest.mark.parametrize(
    "update", [Kept(result=BIG, media=()), Relinked(result=BIG, media=())], ids=["kept", "relinked"]
)
async def test_what_comes_after_the_removal_of_a_job_does_not_bring_it_back(store: JobStore, update: Update) -> None:
    change = await apply(store, "job-1", update)
    assert (change.before, change.changed) == (None, False)
    assert await store.get("job-1") is None


async def test_the_files_of_all_jobs_are_read_in_pages(store: JobStore) -> None:
    """With the status of each, in the order of ids."""
    file = MediaFile(
        source="https://v3.fal.media/a.png", spots=(Spot(1, 30),), status=MediaStatus.KEPT, key="job-2/0-a.png"
    )
    for name in ("job-3", "job-1", "job-2"):
        await apply(store, name, Registered())
    await apply(store, "job-2", Completed(result=BIG))
    await apply(store, "job-2", Relinked(result=BIG, media=(file,)))
    first = await store.media_after("", 2)
    assert first == [("job-1", "pending", ()), ("job-2", "completed", (file,))]
    assert await store.media_after(first[-1].request_id, 2) == [("job-3", "pending", ())]
    assert await store.media_after("job-3", 2) == []


async def test_changes_that_arrive_together_are_all_applied_in_their_order(store: JobStore) -> None:
    """Also when many of them are of one job: each one a version."""
    names = [f"job-{number % 7}" for number in range(70)]
    updates = [Registered(metadata={f"m{number}": Raw(b"1")}) for number in range(70)]
    changes = await asyncio.gather(*(apply(store, *pair) for pair in zip(names, updates, strict=True)))
    assert all(change.changed for change in changes)
    for name in set(names):
        versions = [change.after.version for change, of in zip(changes, names, strict=True) if of == name]
        assert versions == list(range(1, 11))
        job = await store.get(name)
        assert job is not None
        assert (job.version, len(job.metadata)) == (10, 10)


async def test_a_step_that_fails_fails_alone(store: JobStore) -> None:
    """The others of its transaction are committed."""

    def broken(_job: Job | None) -> Job:
        raise ZeroDivisionError

    answers = await asyncio.gather(
        *(apply(store, f"job-{n}", Registered()) for n in range(5)),
        store.change("job-x", broken),
        *(apply(store, f"job-{n}", Registered()) for n in range(5, 10)),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers].count("Change") == 10
    assert isinstance(answers[5], ZeroDivisionError)
    assert len(await store.get_many([f"job-{n}" for n in range(10)])) == 10


async def test_a_value_that_cannot_be_stored_fails_alone(store: JobStore) -> None:
    """A number beyond the column."""
    answers = await asyncio.gather(
        *(apply(store, f"job-{n}", Registered(queue_position=2**70 if n == 3 else 1)) for n in range(6)),
        return_exceptions=True,
    )
    assert isinstance(answers[3], StoreUnavailable)
    assert len(await store.get_many([f"job-{n}" for n in range(6)])) == 5


async def test_two_nodes_that_race_make_one_terminal_state(any_database_url: str) -> None:
    """One wins, the other one's report is late: it changes nothing, and no version is skipped."""
    async with open_store(any_database_url) as one, open_store(any_database_url) as two:
        outcomes: list[Update] = [Completed(result=Raw(b"{}")), Failed(error="It broke.")]
        races = [
            apply(node, f"job-{n}", update)
            for n in range(50)
            for node, update in zip((one, two), outcomes, strict=True)
        ]
        changes = await asyncio.gather(*races)
        for number in range(50):
            won = [change for change in changes[2 * number : 2 * number + 2] if change.changed]
            assert len(won) == 1
            assert await one.get(f"job-{number}") == won[0].after


async def test_a_query_pages_newest_first(store: JobStore) -> None:
    """By status, owner and group, each job once."""
    for number in range(5):
        facts = Registered(owner="u", group="even" if number % 2 == 0 else "odd")
        await apply(store, f"job-{number}", facts, now=NOW + timedelta(seconds=number))
    first = await store.page(JobQuery(owner="u", group="even", status=JobStatus.PENDING, limit=2))
    rest = await store.page(JobQuery(owner="u", group="even", limit=2, cursor=first.next_cursor))
    assert [*first.request_ids, *rest.request_ids] == ["job-4", "job-2", "job-0"]
    assert rest.next_cursor is None


async def test_a_group_is_told_by_its_latest_changes(store: JobStore) -> None:
    """No more than asked for."""
    for number in range(4):
        await apply(store, f"job-{number}", Registered(group="g"), now=NOW + timedelta(seconds=number))
    await apply(store, "job-0", Completed(result=Raw(b"1")), now=NOW + timedelta(minutes=1))
    assert list(await store.of_group("g", 3)) == ["job-0", "job-3", "job-2"]


async def test_an_owner_is_told_by_the_latest_changes(store: JobStore) -> None:
    """No more than asked for, and no one else's."""
    for number, owner in enumerate(("me", "other", "me", None, "me")):
        await apply(store, f"job-{number}", Registered(owner=owner), now=NOW + timedelta(seconds=number))
    await apply(store, "job-0", Completed(result=Raw(b"1")), now=NOW + timedelta(minutes=1))
    assert list(await store.of_owner("me", 2)) == ["job-0", "job-4"]
    assert list(await store.of_owner("me", 9)) == ["job-0", "job-4", "job-2"]


async def test_of_a_group_an_owner_is_told_the_own_jobs(store: JobStore) -> None:
    """Others' jobs, however many and new, take no room in the answer, and are not read."""
    for number, owner in enumerate(("me", "other", None, "other")):
        await apply(store, f"job-{number}", Registered(group="g", owner=owner), now=NOW + timedelta(seconds=number))
    assert list(await store.of_group("g", 1, Caller(sub="me"))) == ["job-0"]
    assert list(await store.of_group("g", 9, Caller(jobs=frozenset({"job-2"})))) == ["job-2"]
    assert list(await store.of_group("g", 9, Caller(sub="nobody", groups=frozenset({"h"})))) == []


async def test_the_usual_duration_is_the_median_of_completions(store: JobStore) -> None:
    assert await store.durations.usual_seconds("fal-ai/flux") is None
    for number, seconds in enumerate((4, 8, 30)):
        await apply(store, f"job-{number}", Registered(endpoint_id="fal-ai/flux"))
        await apply(store, f"job-{number}", Completed(result=Raw(b"1")), now=NOW + timedelta(seconds=seconds))
    assert await store.durations.usual_seconds("fal-ai/flux") == 8


async def test_the_last_good_keys_are_kept(store: JobStore) -> None:
    """One document a URL, replaced by the next."""
    for document in (b"one", b"two"):
        await store.save_keys(StoredKeys(url="https://fal", document=document, fetched_at=NOW))
    kept = await store.load_keys("https://fal")
    assert kept == StoredKeys(url="https://fal", document=b"two", fetched_at=NOW)
    assert await store.load_keys("https://other") is None


@pytest.mark.empty_database
async def test_nodes_that_start_together_migrate_once(any_database_url: str) -> None:
    """Whoever comes second finds it done."""

    async def start() -> None:
        async with open_store(any_database_url) as store:
            await store.probe()

    await asyncio.gather(*(start() for _ in range(4)))


async def test_the_nodes_of_a_database_share_an_id_that_no_other_database_has(
    any_database_url: str, tmp_path: Path
) -> None:
    """Also those that start together, and after a restart."""
    async with open_store(any_database_url) as one, open_store(any_database_url) as two:
        first, second = await asyncio.gather(one.deployment(), two.deployment())
    async with open_store(any_database_url) as later, open_store(f"sqlite:///{tmp_path / 'other.db'}") as other:
        assert first == second == await later.deployment()
        assert first != await other.deployment()


async def test_a_job_is_outlined_without_what_is_large(store: JobStore) -> None:
    """Its size in bytes tells; the whole job is there when it is asked for."""
    result = Raw(b'"%s"' % ("é" * 20_000).encode())
    await apply(store, "large", Completed(result=result))
    await apply(store, "small", Completed(result=Raw(b"1")))
    large, small = await store.outlines(["large", "absent", "small"])
    assert (large.job.request_id, large.job.result, large.left_out) == ("large", None, len(bytes(result)))
    assert (small.job, small.left_out) == (await store.get("small"), 0)
    whole = await store.get("large")
    assert whole is not None
    assert whole.result == result
    assert whole == await store.whole("large")


async def test_a_page_is_bounded_in_bytes(store: JobStore) -> None:
    """At least one job, however large; the next page goes on after it."""
    for number, mebibytes in enumerate((3, 3, 9, 3, 3, 3)):
        result = Raw(b'"%b"' % (b"x" * mebibytes * 1024 * 1024))
        await apply(store, f"job-{number}", Completed(result=result), now=NOW + timedelta(seconds=number))
    pages, query = list[list[str]](), JobQuery()
    while True:
        page = await store.page(query)
        pages.append(page.request_ids)
        if page.next_cursor is None:
            break
        query = JobQuery(cursor=page.next_cursor)
    assert pages == [["job-5", "job-4"], ["job-3"], ["job-2"], ["job-1", "job-0"]]

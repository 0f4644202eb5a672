"""Leases and clean-up, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw

from hookcast.errors import StoreUnavailable
from hookcast.jobs import Completed, Job, Registered, Update, unseen
from hookcast.store import JobQuery, JobStore, open_store, removal
from hookcast.store.leases import ask_lease
from hookcast.transitions import advance
from hookcast.upkeep.retention import PORTION, Retention

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
NEVER = 3600.0
AT_ONCE = -1.0


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


async def add(store: JobStore, request_id: str, *updates: Update, now: datetime = NOW) -> None:
    """A job that these updates made."""
    for update in (Registered(endpoint_id="fal-ai/flux"), *updates):

        def step(job: Job | None, update: Update = update) -> Job:
            return advance(job or unseen(request_id, now=now), update, now=now)

        await store.change(request_id, step)


async def test_a_lease_is_held_by_one(store: JobStore) -> None:
    """Its owner may prolong it; another one gets what is left."""
    assert await store.leases.take(["a", "b"], "one", NEVER) == {"a", "b"}
    assert await store.leases.take(["a", "b", "c"], "two", NEVER) == {"c"}
    assert await store.leases.take(["a"], "one", NEVER) == {"a"}
    await store.leases.release(["a", "c"], "one")
    assert await store.leases.take(["a", "b", "c"], "two", NEVER) == {"a", "c"}


async def test_a_lease_that_has_ended_is_free(store: JobStore) -> None:
    assert await store.leases.take(["a"], "one", AT_ONCE) == {"a"}
    assert await store.leases.take(["a"], "two", NEVER) == {"a"}


async def test_of_those_who_ask_for_a_lease_at_once_one_gets_it(any_database_url: str) -> None:
    """Two nodes, many names, any order."""
    names = [f"n{number}" for number in range(50)]
    async with open_store(any_database_url) as one, open_store(any_database_url) as two:
        got = await asyncio.gather(
            one.leases.take(names, "one", NEVER), two.leases.take(list(reversed(names)), "two", NEVER)
        )
    assert sorted([*got[0], *got[1]]) == sorted(names)


async def test_jobs_to_ask_about_are_pending_old_enough_and_unprotected(store: JobStore) -> None:
    await add(store, "ended", Completed(result=Raw(b"1")))
    await add(store, "young", now=NOW + timedelta(seconds=50))
    for number in range(4):
        await add(store, f"job-{number}", now=NOW + timedelta(seconds=number))
    await store.leases.take([ask_lease("job-1")], "one", NEVER)
    await store.leases.take([ask_lease("job-0")], "one", AT_ONCE)
    due = await store.leases.to_ask_about(10, created_before=NOW + timedelta(seconds=10))
    assert [job.request_id for job in due] == ["job-2", "job-3", "job-0"]
    assert len(await store.leases.to_ask_about(1, created_before=NOW + timedelta(seconds=10))) == 1


async def test_jobs_that_ended_long_ago_are_removed_and_no_others(store: JobStore) -> None:
    """In portions, until none is left."""

    async def no_pause(_seconds: float) -> None:
        pass

    for number in range(3):
        await add(store, f"old-{number}", Completed(result=Raw(b"1")))
    await add(store, "pending")
    await add(store, "new", Completed(result=Raw(b"1")), now=NOW + timedelta(days=20))
    retention = Retention(store, lambda: NOW + timedelta(days=31), timedelta(days=30), sleep=no_pause)
    assert await retention.clean() == 3
    assert sorted(await store.get_many(["old-0", "old-1", "old-2", "pending", "new"])) == ["new", "pending"]


async def test_jobs_that_cannot_be_removed_keep_nothing_else_from_its_removal(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.leases.take(["old"], "one", -NEVER - 1)

    async def fail(*_: object) -> int:
        raise StoreUnavailable("The database did not answer in time.")

    monkeypatch.setattr(store, "remove_ended", fail)
    with pytest.raises(StoreUnavailable):
        await Retention(store, lambda: NOW, timedelta(days=30)).clean()
    assert await store.leases.forget_ended(PORTION) == 0


async def test_a_portion_is_no_larger_than_asked(store: JobStore) -> None:
    """So that nobody waits long for it."""
    for number in range(3):
        await add(store, f"old-{number}", Completed(result=Raw(b"1")))
    assert PORTION > 3
    assert await store.remove_ended(NOW + timedelta(days=1), 2) == 2
    assert await store.remove_ended(NOW + timedelta(days=1), 2) == 1


async def test_removing_jobs_takes_a_moment_only(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When time is up, the rest waits for the next step; the oldest go first, and all of them go."""
    monkeypatch.setattr(removal, "STEP_SECONDS", -1.0)
    monkeypatch.setattr(removal, "LONG_STEP_SECONDS", -1.0)
    for number in range(3 * removal.AT_ONCE):
        await add(store, f"job-{number}", Completed(result=Raw(b"1")), now=NOW + timedelta(seconds=number))
    for left in (2, 1, 0):
        assert await store.remove_ended(NOW + timedelta(days=1), PORTION) > 0
        page = await store.page(JobQuery())
        kept = [f"job-{number}" for number in reversed(range(3 * removal.AT_ONCE))]
        assert page.request_ids == kept[: left * removal.AT_ONCE]
    assert await store.remove_ended(NOW + timedelta(days=1), PORTION) == 0


async def test_leases_that_ended_long_ago_are_removed_in_portions(store: JobStore) -> None:
    """Those of a busy day, too; the others stay."""
    await store.leases.take([f"old-{number}" for number in range(8)], "one", -NEVER - 1)
    await store.leases.take(["new"], "one", AT_ONCE)
    assert [await store.leases.forget_ended(5) for _ in range(3)] == [5, 3, 0]
    assert await store.leases.take(["new"], "two", NEVER) == {"new"}

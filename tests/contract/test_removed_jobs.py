"""Jobs that were removed by request: for some days no webhook brings them back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Raw
from sqlalchemy import func, select, update

from hookcast.bus import LocalBus
from hookcast.consequences import Kind, Start
from hookcast.dispatcher import Dispatcher
from hookcast.jobs import Completed, Registered
from hookcast.store import JobStore, open_store
from hookcast.store.database import open_database
from hookcast.store.removal import REMEMBERED_SECONDS
from hookcast.store.schema import removed_jobs
from hookcast.upkeep.retention import Retention

pytestmark = pytest.mark.anyio
DONE = Completed(result=Raw(b"1"))


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


@pytest.fixture
def dispatcher(store: JobStore) -> Dispatcher:
    """What changes jobs."""
    return Dispatcher(store, LocalBus(lambda _: None), lambda: datetime.now(UTC))


async def remembered(url: str, *, older: float = 0.0) -> int:
    """Let the removals have been `older` seconds ago; return how many there are."""
    database = open_database(url)
    ago = update(removed_jobs).values(removed_at=removed_jobs.c.removed_at - older)
    await database.write(lambda connection: connection.execute(ago))
    count = await database.read(lambda connection: connection.scalar(select(func.count()).select_from(removed_jobs)))
    await database.close()
    return count or 0


async def test_a_webhook_that_comes_again_finds_a_removed_job_gone(store: JobStore, dispatcher: Dispatcher) -> None:
    """Nothing is written, neither work that comes with it nor a line of the journal; other jobs are made."""
    await dispatcher.apply("job-1", DONE, "webhook")
    assert await store.remove_job("job-1")
    again = await dispatcher.apply("job-1", DONE, "webhook", also=(Start("relay:1", Kind.RELAY, "job-1"),))
    assert (again.changed, again.ended, again.after.version) == (False, False, 0)
    assert (await store.get("job-1"), await store.work.request_ids()) == (None, set())
    assert await store.journal.of_job("job-1") == []
    assert (await dispatcher.apply("job-2", DONE, "webhook")).changed
    assert not await store.remove_job("job-1")


async def test_registering_a_removed_job_makes_it_anew(store: JobStore, dispatcher: Dispatcher) -> None:
    """And what comes then is of the new one; it may be removed again."""
    await dispatcher.apply("job-1", DONE, "webhook")
    for _ in range(2):
        await store.remove_job("job-1")
        assert (await dispatcher.apply("job-1", Registered(owner="user-1"))).changed
        assert (await dispatcher.apply("job-1", DONE, "webhook")).ended


async def test_a_removal_is_forgotten_after_days(
    store: JobStore, dispatcher: Dispatcher, any_database_url: str
) -> None:
    """Of jobs that were removed because they ended long ago, nothing is remembered."""
    for name in ("job-1", "job-2"):
        await dispatcher.apply(name, DONE, "webhook")
    await store.remove_job("job-1")
    later = datetime.now(UTC) + timedelta(days=2)
    cleaning = Retention(store, lambda: later, timedelta(days=1))
    assert await cleaning.clean() == 1
    assert await remembered(any_database_url, older=REMEMBERED_SECONDS - 3600) == 1
    await cleaning.clean()
    assert await remembered(any_database_url, older=3601) == 1
    await cleaning.clean()
    assert await remembered(any_database_url) == 0
    assert (await dispatcher.apply("job-1", DONE, "webhook")).changed

"""Text that a database cannot store, on SQLite and on PostgreSQL: it is replaced, and the job goes on."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import replace

from hookcast.errors import NotStorable
from hookcast.jobs import Completed, Failed, Job, Phase, Progressed, Registered, Update, unseen
from hookcast.loglines import LogLine
from hookcast.store import JobStore, open_store
from hookcast.transitions import advance
from hookcast.wire import encode

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
ODD = "a\x00b\ud800c\uffff\x01\U0001f431"
MENDED = "a\ufffdb\ufffdc\uffff\x01\U0001f431"
ESCAPED = Raw(b'{"a\\u0000b": "\\u0000 \\u001f \\uffff \xf0\x9f\x90\xb1"}')


@pytest.fixture
async def store(any_database_url: str) -> AsyncIterator[JobStore]:
    """An empty store."""
    async with open_store(any_database_url) as opened:
        yield opened


async def apply(store: JobStore, update: Update) -> Job:
    """Advance the job, and read what was stored."""

    def step(job: Job | None) -> Job:
        return advance(job or unseen("job-1", now=NOW), update, now=NOW)

    change = await store.change("job-1", step)
    found = await store.get("job-1")
    assert found is not None
    assert found == change.after
    assert encode(found).body == encode(change.after).body
    return found


async def test_an_error_with_odd_characters_ends_the_job(store: JobStore) -> None:
    """Its text is mended; fal's own JSON holds them as escapes, and stays byte for byte."""
    job = await apply(store, Failed(error=ODD, detail=ESCAPED))
    assert (job.error, bytes(job.error_detail or b"")) == (MENDED, bytes(ESCAPED))


async def test_a_result_with_odd_characters_stays_byte_for_byte(store: JobStore) -> None:
    """A NUL in JSON is an escape."""
    job = await apply(store, Completed(result=ESCAPED))
    assert bytes(job.result or b"") == bytes(ESCAPED)


async def test_log_lines_with_odd_characters_are_kept(store: JobStore) -> None:
    """As they are: the log is stored as JSON."""
    line = LogLine(message="a\x00b\uffff", timestamp="\x00", level="\x01")
    assert (await apply(store, Progressed(phase=Phase.RUNNING, logs=(line,)))).progress.logs == (line,)


async def test_every_name_and_address_of_a_job_is_mended(store: JobStore) -> None:
    names = ("endpoint_id", "response_url", "status_url", "cancel_url", "owner", "group")
    odd = msgspec.convert(dict.fromkeys(names, ODD), Registered)
    job = await apply(store, replace(odd, metadata={"a\x00b": ESCAPED}))
    assert [getattr(job, name) for name in names] == [MENDED] * len(names)
    assert list(job.metadata) == ["a\x00b"]


async def test_what_cannot_be_mended_says_that_trying_again_is_useless(store: JobStore) -> None:
    """A number beyond the column, alone and among others."""
    with pytest.raises(NotStorable):
        await apply(store, Progressed(phase=Phase.QUEUED, queue_position=2**70))

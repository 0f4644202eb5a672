"""`hookcast media check`: compare the files that jobs name with those in the storage.

It may run beside servers. The storage is listed first, then work that is not done, then jobs: a file that is copied
meanwhile belongs to work or to a job by then. What is found is looked at again before it is reported or removed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from hookcast.cli.media_output import Output, size
from hookcast.errors import HookcastError
from hookcast.media.failures import StorageFailed
from hookcast.media.storage import Storage, Stored, folder_of, is_key, open_storage
from hookcast.settings import PREFIX, Settings
from hookcast.store import JobStore, Named, inspect, open_store
from hookcast.store.revision import Schema

PAGE = 100  # jobs per query
YOUNG = timedelta(hours=1)  # a file that no job names yet may belong to one that another program just restored


class _Counts(Struct):
    """What was found. Memory: about 300 bytes for each file in the storage."""

    files: int = 0
    bytes: int = 0
    jobs: int = 0
    missing: int = 0
    orphans: int = 0
    removed: int = 0
    drafts: int = 0
    suspects: list[tuple[str, str]] = field(default_factory=list)  # request id and key


async def run(settings: Settings, *, remove: bool) -> int:
    """Print what does not fit; return the exit code. Raises HookcastError when the storage fails."""
    assert settings.media_url is not None  # noqa: S101
    storage = open_storage(settings.media_url.get_secret_value(), settings.media_public_url)
    output, counts = Output(), _Counts()
    try:
        async with servers_store(settings) as store:
            stored = await asyncio.to_thread(_listed, storage)
            counts.drafts = await asyncio.to_thread(lambda: sum(1 for _ in storage.drafts()))
            busy = await _busy(store)
            async for job in every_job(store):
                _compare(job, stored, counts)
            await _report_missing(store, storage, counts, output)
            others = [found for key, found in stored.items() if key.partition("/")[0] not in busy]
            await _report_orphans(store, storage, others, counts, output, remove=remove)
    except StorageFailed as error:
        raise HookcastError(str(error)) from None
    return _sum_up(counts, output)


@asynccontextmanager
async def servers_store(settings: Settings) -> AsyncIterator[JobStore]:
    """Open the database of a server. Raises HookcastError when it is not one, so that none is made by mistake."""
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    if (await inspect(url, schema)).schema is not Schema.CURRENT:
        raise HookcastError(f"{PREFIX}DATABASE_URL is not the database of a server of this version: check it first.")
    async with open_store(url, schema) as store:
        yield store


def _listed(storage: Storage) -> dict[str, Stored]:
    """Return the files that may be ours: a bucket may hold others."""
    return {found.key: found for found in storage.files() if is_key(found.key)}


async def every_job(store: JobStore) -> AsyncIterator[Named]:
    """Yield each job with its files, in the order of ids."""
    last = ""
    while page := await store.media_after(last, PAGE):
        for job in page:
            yield job
        last = page[-1].request_id


async def _busy(store: JobStore) -> set[str]:
    """Return the folders of jobs whose files are being copied or removed."""
    return {folder_of(request_id) for request_id in await store.work.request_ids()}


def _compare(job: Named, stored: dict[str, Stored], counts: _Counts) -> None:
    """Take the job's files out of `stored`."""
    keys = [file.key for file in job.media if file.key]
    counts.jobs += bool(keys)
    for key in keys:
        if (found := stored.pop(key, None)) is None:
            counts.suspects.append((job.request_id, key))
        else:
            counts.files += 1
            counts.bytes += found.bytes


async def _report_missing(store: JobStore, storage: Storage, counts: _Counts, output: Output) -> None:
    for request_id, key in counts.suspects:
        found = await asyncio.to_thread(storage.find, key)
        job = None if found is not None else await store.outline(request_id)
        if found is not None:
            counts.files += 1
            counts.bytes += found.bytes
        elif job is not None:
            counts.missing += 1
            output.finding("missing", f"{key}, of job {request_id}", requestId=request_id, key=key)


async def _report_orphans(
    store: JobStore, storage: Storage, others: list[Stored], counts: _Counts, output: Output, *, remove: bool
) -> None:
    if remove and others and not counts.files:
        raise HookcastError(
            f"No file in the storage belongs to a job of this database, so none is removed: check {PREFIX}DATABASE_URL."
        )
    busy = await _busy(store)
    for orphan in others:
        now = await asyncio.to_thread(storage.find, orphan.key)
        settled = now is not None and now.modified == orphan.modified < datetime.now(UTC) - YOUNG
        if not settled or orphan.key.partition("/")[0] in busy:
            continue
        counts.orphans += 1
        if remove:
            await asyncio.to_thread(storage.remove, [orphan.key])
            counts.removed += 1
        text = f"{orphan.key}, {size(orphan.bytes)}{', removed' if remove else ''}"
        output.finding("orphan", text, key=orphan.key, bytes=orphan.bytes, removed=remove)


def _sum_up(counts: _Counts, output: Output) -> int:
    names = ("files", "bytes", "jobs", "missing", "orphans", "removed", "drafts")
    output.facts(finding="total", **{name: getattr(counts, name) for name in names})
    output.total("ok", f"{counts.files} files of {counts.jobs} jobs are there, {size(counts.bytes)}")
    if counts.missing:
        text = f"{counts.missing} files are gone, and their links lead nowhere: restore them from a backup"
        output.total("missing", text, "bold red")
    stay = counts.orphans - counts.removed
    if counts.orphans:
        advice = "`hookcast media check --remove-orphans` removes them" if stay else "they were removed"
        output.total("orphan", f"{counts.orphans} files belong to no job: {advice}", "yellow")
    if counts.drafts:
        output.total("draft", f"{counts.drafts} files are half-written: the server removes those older than an hour")
    return 1 if counts.missing or stay else 0

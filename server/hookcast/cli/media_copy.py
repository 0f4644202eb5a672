"""`hookcast media copy`: keep the files of jobs that were completed without.

The work is committed, and the running servers do it. It may be stopped and started again at any time: a job that has
its files is not named again.
"""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import nullcontext

from msgspec import Struct
from rich.progress import Progress

from hookcast.cli.media_check import every_job, servers_store
from hookcast.cli.media_output import Output
from hookcast.consequences import Kind, relinking
from hookcast.jobs import JobStatus
from hookcast.keeping import Keeping, named_files
from hookcast.settings import PREFIX, Settings
from hookcast.store import JobStore, Named

MAX_WAITING = 200  # jobs in the table of work
LOOK_SECONDS = 1.0
HINT_AFTER = 30  # looks without progress


class _Course(Struct):
    """How far the jobs are. `still` counts the looks since something was done."""

    total: int
    done: int = 0
    still: int = 0

    def look(self, done: int) -> None:
        """Take note of how many jobs are done."""
        self.still = 0 if done > self.done else self.still + 1
        self.done = max(self.done, done)


async def run(settings: Settings) -> int:
    """Commit the work step by step, and show how far it is until it is done; return the exit code."""
    output, keeping = Output(), Keeping(settings.kept_endpoints)
    async with servers_store(settings) as store:
        found = [job.request_id async for job in every_job(store) if await _names_files(store, job, keeping)]
        await _work_off(store, found, output)
        statuses = await _statuses(store, set(found))
    kept, left = statuses["kept"], statuses["left"]
    output.facts(finding="total", jobs=len(found), kept=kept, left=left)
    output.total("ok", f"{len(found)} jobs are done: {kept} files are kept, {left} were left where they are")
    return 0


async def _names_files(store: JobStore, job: Named, keeping: Keeping) -> bool:
    """Return whether a job was completed without its files, and has some to keep."""
    if job.status != JobStatus.COMPLETED or job.media:
        return False
    whole = await store.whole(job.request_id)
    if whole is None or whole.result is None or not keeping.wants(whole):
        return False
    return bool(await asyncio.to_thread(named_files, whole.result))


async def _work_off(store: JobStore, request_ids: Sequence[str], output: Output) -> None:
    rest, course = deque(request_ids), _Course(len(request_ids))
    bar = Progress(console=output.console) if output.people else nullcontext()
    with bar:
        task = bar.add_task("Copying files of jobs", total=course.total) if isinstance(bar, Progress) else None
        while rest or course.done < course.total:
            waiting = await store.work.waiting(Kind.RELINK)
            some = [rest.popleft() for _ in range(min(len(rest), max(0, MAX_WAITING - waiting)))]
            if some:
                await store.work.start([relinking(request_id) for request_id in some])
                waiting = await store.work.waiting(Kind.RELINK)
            course.look(course.total - len(rest) - waiting)
            if isinstance(bar, Progress) and task is not None:
                bar.update(task, completed=course.done)
            output.facts(finding="progress", done=course.done, waiting=waiting, total=course.total)
            if course.still == HINT_AFTER:
                _hint()
            if course.done < course.total:
                await asyncio.sleep(LOOK_SECONDS)


def _hint() -> None:
    sys.stderr.write(
        f"hookcast: nothing was done for {HINT_AFTER * LOOK_SECONDS:.0f} s: does `hookcast serve` run with this "
        f"database and {PREFIX}MEDIA_URL?\n"
    )


async def _statuses(store: JobStore, request_ids: set[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    async for job in every_job(store):
        if job.request_id in request_ids:
            found.update(file.status.value for file in job.media)
    return found

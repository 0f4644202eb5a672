"""The timeline and the bounded memory of the emulator's queue."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.emulator.queue import (
    ENDS,
    LOG_LINES,
    STARTS,
    CancelAnswer,
    Jobs,
    Moment,
    Phase,
    Signal,
    UnknownJob,
    moment,
    next_change,
)
from unit.emulator.making import make_job

PHASES = list(Phase)


@pytest.mark.parametrize(("elapsed", "position"), [(0.0, 3), (0.59, 3), (0.6, 2), (1.2, 1), (1.8, 0), (2.39, 0)])
def test_queue_position_falls_to_zero(elapsed: float, position: int) -> None:
    """A job waits at the positions 3, 2, 1 and 0, without a log line."""
    assert moment(elapsed) == Moment(Phase.IN_QUEUE, position, 0)


def test_running_job_has_no_queue_position() -> None:
    """From its start on a job is in progress, and the queue position is gone."""
    assert moment(STARTS) == Moment(Phase.IN_PROGRESS, None, 0)


def test_normal_job_takes_eight_seconds_and_writes_every_line() -> None:
    """A job is completed after 8 seconds at speed 1, with all of its log lines."""
    assert moment(7.999).phase is Phase.IN_PROGRESS
    assert moment(8.0) == Moment(Phase.COMPLETED, None, len(LOG_LINES))


def test_log_stops_where_a_cancelled_job_ended() -> None:
    """A job that was cancelled early never writes the later lines."""
    assert moment(100.0, ends=4.5).log_lines == 3


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0, 8))
def test_time_never_runs_backwards(one: float, other: float, ends: float) -> None:
    """At a later time the phase is not earlier, the position not higher and the log not shorter."""
    first, second = (moment(elapsed, ends) for elapsed in sorted((one, other)))
    assert PHASES.index(first.phase) <= PHASES.index(second.phase)
    assert first.log_lines <= second.log_lines
    assert second.queue_position is None or (first.queue_position or 0) >= second.queue_position


@given(st.floats(0, 20), st.floats(0, 8))
def test_next_change_is_the_first_time_at_which_something_differs(elapsed: float, ends: float) -> None:
    """Nothing changes before the next change, and none is left once the job has ended."""
    change = next_change(elapsed, ends)
    if moment(elapsed, ends).phase is Phase.COMPLETED:
        assert change is None
        return
    assert change is not None
    assert change > elapsed
    assert moment(change, ends) != moment(elapsed, ends)
    assert moment((elapsed + change) / 2, ends) in {moment(elapsed, ends), moment(change, ends)}


def test_urls_stand_below_the_app() -> None:
    """A job's address leaves out the part of the endpoint id after the app."""
    assert make_job().url == "http://127.0.0.1:8787/fal-ai/kling-video/requests/019f6af7-aaaa-bbbb-cccc-000000000001"


def test_cancel_in_the_queue_ends_the_job_at_once() -> None:
    """A queued job that is cancelled has left the queue, and has ended."""
    job = make_job()
    assert job.cancel(1.0) is CancelAnswer.REMOVED
    assert job.moment(1.0).phase is Phase.COMPLETED


def test_cancel_of_a_running_job_ends_it_soon() -> None:
    """A running job that is cancelled goes on for half a second, however often one asks."""
    job = make_job()
    assert job.cancel(4.0) is CancelAnswer.REQUESTED
    assert job.cancel(4.25) is CancelAnswer.REQUESTED
    assert job.moment(4.25).phase is Phase.IN_PROGRESS
    assert job.moment(4.5).phase is Phase.COMPLETED


def test_a_running_job_may_complete_in_spite_of_a_cancel() -> None:
    """The request is taken, and the job is done before it takes effect."""
    job = make_job()
    assert job.cancel(ENDS - 0.25) is CancelAnswer.REQUESTED
    assert not job.cancelled
    assert job.moment(ENDS).log_lines == len(LOG_LINES)


def test_cancel_after_the_end_changes_nothing() -> None:
    """A completed job cannot be cancelled any more."""
    job = make_job()
    assert job.cancel(ENDS) is CancelAnswer.ALREADY_COMPLETED
    assert not job.cancelled


def test_speed_divides_the_durations() -> None:
    """At speed 4 a job takes 2 seconds."""
    job = make_job(speed=4.0)
    assert job.moment(1.99).phase is Phase.IN_PROGRESS
    assert job.moment(2.0).phase is Phase.COMPLETED


@pytest.mark.anyio
async def test_cancel_wakes_the_wait_for_the_end() -> None:
    """Whoever waits for a job's end learns of a cancel at once."""
    job = make_job(speed=0.01)
    clock = asyncio.get_running_loop().time
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(job.wait_until_end())
        await asyncio.sleep(0)
        job.cancel(clock())


@pytest.mark.anyio
async def test_signal_wakes_everyone_and_remembers_nothing() -> None:
    """All who wait are woken; who comes later waits for the next time."""
    signal = Signal()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = [group.create_task(signal.wait(4)) for _ in range(3)]
        await asyncio.sleep(0)
        signal.notify()
    assert all(task.result() for task in waiting)
    assert not await signal.wait(0.001)


def test_job_is_found_only_under_its_own_app() -> None:
    """The right id under another app is unknown."""
    jobs, job = Jobs(), make_job()
    jobs.add(job)
    assert jobs.get("fal-ai/kling-video", job.request_id) is job
    with pytest.raises(UnknownJob, match=re.escape(job.request_id)):
        jobs.get("fal-ai/flux", job.request_id)


def test_oldest_ended_jobs_are_forgotten_and_running_ones_are_not() -> None:
    """Past the limit the job that ended first is dropped."""
    jobs = Jobs(kept_ended=2)
    made = [make_job(request_id=f"job-{number}") for number in range(5)]
    for job in made:
        jobs.add(job)
    for number in (3, 1, 2):
        jobs.ended(made[number])
    assert [jobs.holds(job) for job in made] == [True, True, True, False, True]

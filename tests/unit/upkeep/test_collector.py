"""The collector: how it fetches results, when it gives up, and that a restart does not make it forget.

`test_worker` tests what runs its attempts.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from msgspec import Raw, json

from hookcast.fal.calls import TooLarge
from hookcast.fal.queue import FalQueue
from hookcast.jobs import EndedBy, Job, JobStatus, Registered
from hookcast.store import open_store
from hookcast.upkeep.collector import MAX_LARGE
from support.collected import World
from support.fakes import Outage
from support.fal import Answer, FalDouble
from support.server import until

pytestmark = pytest.mark.anyio

RESULT = "/requests/job-1"
STATUS = "/requests/job-1/status"
DISCONNECTED = {
    "status": "COMPLETED",
    "error": "Runner disconnected unexpectedly",
    "error_type": "runner_disconnected",
}
GOOD = httpx.Response(200, content=b'{"seed": 12345678901234567890}')
IN_PROGRESS = httpx.Response(400, json={"detail": "Request is still in progress"})


@pytest.fixture
async def world(database_url: str, fal: FalDouble) -> AsyncIterator[World]:
    """A collector that does not run yet."""
    async with open_store(database_url) as store, httpx.AsyncClient(transport=fal) as client:
        yield World(database_url, Outage(store), client, fal)


async def test_it_tries_again_until_the_result_is_there(world: World) -> None:
    """With pauses that grow to half a minute; the result is taken byte for byte."""
    world.fal.script(RESULT, *[IN_PROGRESS] * 8, GOOD)
    job = await world.fetched(patience=3.0)
    assert job.result == Raw(GOOD.content)
    assert world.pauses == [3.0, 6.0, 12.0, 24.0, 30.0, 30.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize("answer", [httpx.Response(code) for code in (301, 401, 403, 404, 408)])
async def test_what_is_not_the_jobs_outcome_does_not_fail_the_job(world: World, answer: httpx.Response) -> None:
    """A wrong key, a missing result or a redirect may be mended within the hour."""
    world.fal.script(RESULT, answer, GOOD)
    assert (await world.fetched()).status is JobStatus.COMPLETED


async def test_the_models_own_error_fails_the_job_at_once(world: World) -> None:
    """In its own words, with fal's body beside it."""
    detail = b'{"detail": [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]}'
    world.fal.script(RESULT, httpx.Response(422, content=detail))
    job = await world.fetched()
    assert (job.status, job.error, job.error_detail) == (JobStatus.FAILED, "prompt: Field required", Raw(detail))
    assert (job.ended_by, len(world.fal.asked(RESULT))) == (EndedBy.ASKED, 1)


@pytest.mark.parametrize("code", [400, 401, 404, 408, 422, 429, 500, 502, 503, 504])
async def test_a_status_with_an_error_fails_the_job_at_once(world: World, code: int) -> None:
    """Whatever the result answers: with the status's sentence where the result has none, and fal's error type."""
    world.fal.script(RESULT, httpx.Response(code, content=b"<html>no</html>"))
    world.fal.script(STATUS, httpx.Response(200, json=DISCONNECTED))
    job = await world.fetched()
    assert (job.status, job.error) == (JobStatus.FAILED, "Runner disconnected unexpectedly")
    assert json.decode(job.error_detail or b"") == {
        "error": "Runner disconnected unexpectedly",
        "error_type": "runner_disconnected",
    }
    assert len(world.fal.asked(STATUS)) == 1


@pytest.mark.parametrize("code", [404, 503, 504])
async def test_a_completed_status_with_only_a_detail_fails_the_job_at_once(world: World, code: int) -> None:
    """Not after an hour: it is the member of fal's error bodies. A result counts for more, if there is one."""
    world.fal.script(RESULT, httpx.Response(code))
    world.fal.script(STATUS, httpx.Response(200, json={"status": "COMPLETED", "detail": "The runner was lost."}))
    job = await world.fetched()
    assert (job.status, job.error) == (JobStatus.FAILED, "The runner was lost.")
    assert len(world.fal.asked(STATUS)) == 1


async def test_the_results_own_sentence_is_preferred_and_the_error_type_is_added(world: World) -> None:
    """A sentence that says more than the status; the rest of fal's body stays byte for byte."""
    world.fal.script(RESULT, httpx.Response(503, content=b'{"detail": "The runner was lost.", "n": 1.50}'))
    world.fal.script(STATUS, httpx.Response(200, json=DISCONNECTED))
    job = await world.fetched()
    assert job.error == "Runner disconnected unexpectedly"
    assert job.error_detail == Raw(b'{"detail":"The runner was lost.","n":1.50,"error_type":"runner_disconnected"}')


@pytest.mark.parametrize("headers", [{}, {"x-fal-error-type": "request_timeout"}])
async def test_a_result_that_names_its_error_type_fails_a_completed_job(world: World, headers: dict[str, str]) -> None:
    """504 may pass; with fal's own error type, of a job that fal has finished, it does not."""
    body = {"detail": "Request timed out"} | ({} if headers else {"error_type": "request_timeout"})
    world.fal.script(RESULT, httpx.Response(504, json=body, headers=headers))
    world.fal.script(STATUS, httpx.Response(200, json={"status": "COMPLETED"}))
    job = await world.fetched()
    assert (job.status, job.error) == (JobStatus.FAILED, "Request timed out")


async def test_a_completed_job_whose_result_is_unavailable_is_not_given_up_at_once(world: World) -> None:
    """A gateway's 503 without an error type passes."""
    world.fal.script(RESULT, httpx.Response(503), httpx.Response(503), GOOD)
    world.fal.script(STATUS, httpx.Response(200, json={"status": "COMPLETED"}))
    assert (await world.fetched()).status is JobStatus.COMPLETED


async def test_an_unreachable_result_of_a_failed_job_fails_it(world: World) -> None:
    world.fal.script(RESULT, httpx.ReadError("cut"))
    world.fal.script(STATUS, httpx.Response(200, json=DISCONNECTED))
    assert (await world.fetched()).error == "Runner disconnected unexpectedly"


async def test_a_result_that_is_no_json_fails_the_job_soon(world: World) -> None:
    """A second look, then what came instead."""
    world.fal.script(RESULT, httpx.Response(200, content=b"\x89PNG", headers={"content-type": "image/png"}))
    world.fal.script(STATUS, httpx.Response(200, json={"status": "COMPLETED"}))
    began = world.now
    job = await world.fetched()
    assert (job.status, job.error) == (JobStatus.FAILED, "The result is not JSON: fal delivered image/png, 4 bytes.")
    assert world.now - began < timedelta(seconds=5)


async def test_a_result_that_was_cut_once_is_fetched_again(world: World) -> None:
    """One unreadable answer does not lose it."""
    world.fal.script(RESULT, httpx.Response(200, content=b'{"a": '), GOOD)
    assert (await world.fetched()).result == Raw(GOOD.content)


@pytest.mark.parametrize(
    ("result", "status", "minutes"),
    [
        (httpx.Response(404), httpx.Response(200, json={"status": "COMPLETED"}), 5),
        (httpx.Response(404), httpx.Response(403), 60),
        (httpx.Response(503), httpx.Response(200, json={"status": "COMPLETED"}), 60),
        (IN_PROGRESS, httpx.Response(202, json={"status": "IN_PROGRESS"}), 60),
        (httpx.Response(401), httpx.Response(401), 60),
    ],
)
async def test_it_gives_up_in_the_end(world: World, result: Answer, status: Answer, minutes: int) -> None:
    """fal keeps results for an hour; one that is not there soon after fal has finished will not come."""
    world.fal.script(RESULT, result)
    world.fal.script(STATUS, status)
    began = world.now
    job = await world.fetched()
    assert (job.status, job.ended_by) == (JobStatus.FAILED, EndedBy.TIMEOUT)
    assert job.error is not None
    assert "Submit the job again" in job.error
    assert timedelta(minutes=minutes) < world.now - began < timedelta(minutes=minutes + 1)


async def test_a_result_that_lags_behind_its_status_is_waited_for(world: World) -> None:
    """The request may end between the two answers."""
    world.fal.script(RESULT, IN_PROGRESS, GOOD)
    world.fal.script(STATUS, httpx.Response(200, json={"status": "COMPLETED"}))
    assert (await world.fetched()).result == Raw(GOOD.content)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, json={"detail": "Content is forbidden"}), "Content is forbidden"),
        (httpx.Response(401), "fal answered 401 with an empty body."),
        (httpx.Response(302), "fal answered 302 with an empty body."),
        (IN_PROGRESS, "Request is still in progress"),
    ],
)
async def test_a_refused_result_of_a_completed_job_fails_with_fals_reason(
    world: World, answer: httpx.Response, error: str
) -> None:
    """The status shows that the key is right: what has not been mended in five minutes is the outcome."""
    world.fal.script(RESULT, answer)
    world.fal.script(STATUS, httpx.Response(200, json={"status": "COMPLETED"}))
    began = world.now
    job = await world.fetched()
    assert (job.status, job.error, job.ended_by) == (JobStatus.FAILED, error, EndedBy.ASKED)
    assert timedelta(minutes=5) < world.now - began < timedelta(minutes=6)


async def test_other_changes_of_the_job_do_not_postpone_its_end(world: World) -> None:
    """The hour begins with the first attempt."""
    world.fal.script(RESULT, IN_PROGRESS)
    began = world.now
    await world.saving()
    async for _ in world.attempts():
        if world.now - began > timedelta(minutes=45):
            await world.dispatcher.register("job-1", Registered(owner="user-1"))
    await world.ended()
    assert world.now - began < timedelta(minutes=61)


async def test_a_request_that_fal_does_not_know_fails(world: World) -> None:
    """After a minute of 404s for result and status."""
    world.fal.script(RESULT, httpx.Response(404, json={"detail": "Request not found"}))
    world.fal.script(STATUS, httpx.Response(404, json={"detail": "Request not found"}))
    began = world.now
    job = await world.fetched()
    assert (job.error or "").startswith("fal does not know this request.")
    assert timedelta(minutes=1) <= world.now - began < timedelta(minutes=2)


async def test_a_404_is_forgotten_when_fal_knows_the_request_after_all(world: World) -> None:
    """Only 404s in a row count, whichever node received them."""
    unknown, known = httpx.Response(404), httpx.Response(202, json={"status": "IN_PROGRESS"})
    world.fal.script(RESULT, *[httpx.Response(404)] * 9, GOOD)
    world.fal.script(STATUS, *[unknown, unknown, known] * 3)
    assert (await world.fetched()).result == Raw(GOOD.content)


async def test_few_large_results_are_in_memory_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, as after an outage; small ones do not wait for them."""
    reading, most_at_once, go = 0, 0, asyncio.Event()

    async def result(_queue: FalQueue, job: Job, *, most: int | None = None) -> Raw:
        nonlocal reading, most_at_once
        if job.request_id == "small":
            return Raw(b"1")
        if most is not None:
            raise TooLarge(None)
        reading += 1
        most_at_once = max(reading, most_at_once)
        await go.wait()
        reading -= 1
        return Raw(b"2")

    monkeypatch.setattr(FalQueue, "result", result)
    names = [f"job-{number}" for number in range(3 * MAX_LARGE)]
    for name in (*names, "small"):
        await world.saving(name)
    async with world.running():
        await world.ended("small")
        await until(lambda: reading == MAX_LARGE)
        go.set()
        for name in names:
            await world.ended(name)
    assert most_at_once == MAX_LARGE

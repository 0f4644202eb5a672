"""Cancel a job over HTTP: fal is asked, and its answer is told."""

import asyncio

import httpx
import pytest

from hookcast.errors import FalUnreachable
from hookcast.fal.answers import CancelAnswer
from hookcast.fal.queue import FalQueue
from hookcast.jobs import Job
from support.fal import ENDPOINT
from support.server import Node, until

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("answer", "status", "job"),
    [
        (httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}), 202, "pending"),
        (httpx.Response(200, json={"status": "OK"}), 202, "cancelled"),
        (httpx.Response(400, json={"status": "ALREADY_COMPLETED"}), 409, "pending"),
        (httpx.Response(404, json={"status": "NOT_FOUND"}), 404, "pending"),
    ],
)
async def test_cancel_asks_fal_and_tells_its_answer(node: Node, answer: httpx.Response, status: int, job: str) -> None:
    """A running job may still complete: then it is `cancelling`."""
    node.fal.script("/cancel", answer)
    await node.register("job-1", endpointId=ENDPOINT)
    assert (await node.client.post("/api/fal-jobs/job-1/cancel")).status_code == status
    found = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert (found["status"], found["endedBy"]) == (job, "cancelled" if job == "cancelled" else None)


@pytest.mark.parametrize(("fields", "status"), [({"status": "ERROR", "error": "x"}, "cancelled"), ({}, "completed")])
async def test_a_webhook_may_be_faster_than_the_answer_to_cancel(
    node: Node, fields: dict[str, str], status: str
) -> None:
    """A failure in that moment is the cancel at work; a result is a result."""
    node.fal.script("/cancel", httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}))
    await node.register("job-1", endpointId=ENDPOINT)
    await node.post_webhook(node.fal.webhook("another"))  # fal's keys are known from here on
    node.fal.gate.clear()
    async with asyncio.TaskGroup() as group:
        cancel = group.create_task(node.client.post("/api/fal-jobs/job-1/cancel"))
        await until(lambda: node.fal.asked("/cancel"))
        await node.post_webhook(node.fal.webhook("job-1", **fields))
        node.fal.gate.set()
    assert (cancel.result().status_code, cancel.result().json()["status"]) == (202, status)
    await node.post_webhook(node.fal.webhook("job-2", status="ERROR", error="x"))
    assert (await node.client.get("/api/fal-jobs/job-2")).json()["status"] == "failed"


async def test_a_failure_after_a_refused_cancel_is_a_failure(node: Node) -> None:
    """Whether fal had finished the job, does not know it, or does not let us."""
    node.fal.script("/cancel", *(httpx.Response(code, json={"detail": "No."}) for code in (400, 404, 403)))
    for name, code in (("job-1", 409), ("job-2", 404), ("job-3", 502)):
        await node.register(name, endpointId=ENDPOINT)
        assert (await node.client.post(f"/api/fal-jobs/{name}/cancel")).status_code == code
        await node.post_webhook(node.fal.webhook(name, status="ERROR", error="x"))
        job = (await node.client.get(f"/api/fal-jobs/{name}")).json()
        assert (job["status"], job["endedBy"]) == ("failed", "webhook")


async def test_a_cancel_that_fal_does_not_answer_may_have_been_taken(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """502, and the job goes on; a failure soon after is the cancel at work."""

    async def unanswered(_queue: FalQueue, _job: Job) -> CancelAnswer:
        raise FalUnreachable("fal does not answer.")

    monkeypatch.setattr(FalQueue, "cancel", unanswered)
    await node.register("job-1", endpointId=ENDPOINT)
    assert (await node.client.post("/api/fal-jobs/job-1/cancel")).json()["code"] == "fal_unreachable"
    job = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert (job["status"], job["progress"]["phase"]) == ("pending", "queued")
    await node.post_webhook(node.fal.webhook("job-1", status="ERROR", error="cancelled by the user"))
    assert (await node.client.get("/api/fal-jobs/job-1")).json()["status"] == "cancelled"


async def test_cancelling_a_request_that_fal_does_not_know_says_so(node: Node) -> None:
    """Not that the job is unknown here."""
    node.fal.script("/cancel", httpx.Response(404, json={"status": "NOT_FOUND"}))
    await node.register("job-1", endpointId=ENDPOINT)
    told = (await node.client.post("/api/fal-jobs/job-1/cancel")).json()
    assert (told["code"], told["title"]) == ("unknown_to_fal", "fal does not know this request")
    assert told["detail"].startswith("fal does not know this request.")
    assert ENDPOINT in told["detail"]


@pytest.mark.parametrize("action", ["cancel", "refresh"])
async def test_fal_cannot_be_asked_about_a_job_without_an_endpoint(node: Node, action: str) -> None:
    await node.register("job-1", endpointId=None)
    answer = await node.client.post(f"/api/fal-jobs/job-1/{action}")
    assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_unknown")
    assert node.fal.requests == []


async def test_what_is_refused_reads_no_large_result(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may see a job could otherwise keep the database busy with it."""
    await node.post_webhook(node.fal.webhook("job-1", payload="x" * 1_000_000))

    async def whole(request_id: str) -> Job | None:
        raise AssertionError(request_id)

    monkeypatch.setattr(node.services.store, "whole", whole)
    answer = await node.client.post("/api/fal-jobs/job-1/cancel")
    assert answer.json()["code"] == "already_terminal"


async def test_a_second_cancel_does_not_forget_the_first(node: Node) -> None:
    """fal calls a cancelled job completed: what comes of it is fetched, and the job ends as cancelled."""
    answers = [httpx.Response(202, json={}), httpx.Response(400, json={"status": "ALREADY_COMPLETED"})]
    node.fal.script("/cancel", *answers)
    node.fal.script("/requests/job-1", httpx.Response(499, json={"detail": "Request was cancelled"}))
    await node.register("job-1", endpointId=ENDPOINT)
    codes = [(await node.client.post("/api/fal-jobs/job-1/cancel")).status_code for _ in range(2)]
    assert codes == [202, 409]
    job = (await node.client.get("/api/fal-jobs/job-1?wait=20&version=4")).json()
    assert (job["status"], job["result"]) == ("cancelled", None)


async def test_an_ended_or_unknown_job_cannot_be_cancelled(node: Node) -> None:
    await node.post_webhook(node.fal.webhook("job-1"))
    answers = [await node.client.post(f"/api/fal-jobs/{name}/cancel") for name in ("job-1", "job-2")]
    assert [answer.json()["code"] for answer in answers] == ["already_terminal", "job_not_found"]

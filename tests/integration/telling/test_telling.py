"""The backend is told what happened to jobs: signed, durably, once it takes it."""

import asyncio

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from hookcast.consequences import Kind
from hookcast.jobs import CancelAsked, Failed, Phase, Progressed
from support.fal import ENDPOINT, FalDouble
from support.receiver import OTHER_SECRET, SECRET, Receiver, verdict_of_npm
from support.server import Node
from support.telling import end, settled, telling, types
from support.working import hurry

pytestmark = pytest.mark.anyio


async def test_the_end_of_a_job_is_told_as_its_clients_see_it(node: Node, receiver: Receiver) -> None:
    """Signed; the state is byte for byte what a client reads."""
    await node.register("job-1", endpointId=ENDPOINT, owner="user-1", metadata={"n": 12345678901234567890})
    await end(node, "job-1")
    [told] = await receiver.received(1)
    state = (await node.client.get("/api/fal-jobs/job-1")).content
    event = told.verified()
    assert told.path == "/hook?from=hookcast"
    assert told.headers["content-type"] == "application/json"
    assert told.headers["user-agent"].startswith("Hookcast/")
    assert told.body.endswith(b'"data":' + state + b"}")
    assert (event["type"], event["timestamp"]) == ("job.completed", event["data"]["completedAt"])
    await settled(node)
    assert len(receiver.deliveries) == 1


async def test_the_official_library_for_javascript_verifies_it(node: Node, receiver: Receiver) -> None:
    await end(node, "job-1")
    [told] = await receiver.received(1)
    assert await asyncio.to_thread(verdict_of_npm, told) == "job.completed"
    assert await asyncio.to_thread(verdict_of_npm, told, body=told.body + b" ") == "WebhookVerificationError"


async def test_while_a_secret_is_rotated_receivers_with_either_verify(
    receiver: Receiver, fal: FalDouble, database_url: str
) -> None:
    async with telling(receiver, fal, database_url, forward_secret=f"{OTHER_SECRET}, {SECRET}") as node:
        await end(node, "job-1")
        [told] = await receiver.received(1)
    assert told.verified(SECRET) == told.verified(OTHER_SECRET)
    with pytest.raises(WebhookVerificationError):
        told.verified("whsec_" + "A" * 32)


async def test_nothing_is_told_of_a_repeated_webhook_or_a_change_of_a_pending_job(
    node: Node, receiver: Receiver
) -> None:
    await node.register("job-1", endpointId=ENDPOINT)
    await node.services.dispatcher.apply("job-1", Progressed(phase=Phase.RUNNING))
    assert receiver.deliveries == []
    await end(node, "job-1")
    await end(node, "job-1")
    await settled(node)
    assert types(receiver) == ["job.completed"]


async def test_ends_of_every_kind_and_source_are_told(node: Node, receiver: Receiver) -> None:
    """By a webhook, fetched from fal, given up for its time, cancelled."""
    apply = node.services.dispatcher.apply
    for name in ("failed", "fetched", "timed-out", "cancelled"):
        await node.register(name, endpointId=ENDPOINT)
    await end(node, "failed", status="ERROR", payload={"detail": "no"}, error="no")
    node.fal.script("/requests/fetched", httpx.Response(200, json={"seed": 1}))
    await end(node, "fetched", payload=None, payload_error="too large")
    await apply("timed-out", Failed("fal did not finish this job within 60 minutes."), "hookcast")
    await apply("cancelled", CancelAsked())
    await end(node, "cancelled", status="ERROR", error="cancelled")
    await receiver.received(4)
    await settled(node)
    told = {event["data"]["requestId"]: (event["type"], event["data"]["endedBy"]) for event in receiver.events}
    assert told == {
        "failed": ("job.failed", "webhook"),
        "fetched": ("job.completed", "asked"),
        "timed-out": ("job.failed", "timeout"),
        "cancelled": ("job.cancelled", "cancelled"),
    }


async def test_a_job_that_was_removed_is_not_told(receiver: Receiver, fal: FalDouble, any_database_url: str) -> None:
    receiver.script.append(500)
    async with telling(receiver, fal, any_database_url) as node:
        await end(node, "job-1")
        await receiver.received(1)
        assert (await node.client.delete("/api/fal-jobs/job-1")).status_code == 204
        async with hurry(any_database_url, Kind.TELL, []):
            await settled(node)
    assert len(receiver.deliveries) == 1


async def test_a_webhook_that_comes_again_after_its_job_was_removed_changes_nothing(
    node: Node, receiver: Receiver
) -> None:
    """fal repeats it when our answer was lost: the backend has charged for it already."""
    webhook = node.fal.webhook("job-1")
    answers = [await node.post_webhook(webhook)]
    await settled(node)
    assert (await node.client.delete("/api/fal-jobs/job-1")).status_code == 204
    answers += [await node.post_webhook(webhook), await node.post_webhook(node.fal.webhook("job-1"))]
    assert [answer.json() for answer in answers] == [{"status": "accepted"}, *[{"status": "duplicate"}] * 2]
    assert (await node.client.get("/api/fal-jobs/job-1")).status_code == 404
    await settled(node)
    assert types(receiver) == ["job.completed"]


async def test_a_job_with_a_large_result_is_told_whole(node: Node, receiver: Receiver) -> None:
    payload = {"text": "x" * 3_000_000}
    await end(node, "job-1", payload=payload)
    [told] = await receiver.received(1)
    assert told.verified()["data"]["result"] == payload

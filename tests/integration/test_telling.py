"""The backend is told what happened to jobs: signed, durably, once it takes it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from msgspec import json
from sqlalchemy import update
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs

from hookcast.consequences import Kind
from hookcast.forward import sending
from hookcast.forward.schedule import RETRIES
from hookcast.jobs import CancelAsked, Failed, Phase, Progressed
from hookcast.store.database import open_database
from hookcast.store.schema import work
from hookcast.store.work import add
from hookcast.upkeep.reteller import retelling
from support.fal import ENDPOINT, FalDouble
from support.receiver import HANG, OTHER_SECRET, SECRET, Receiver, Status, running_receiver, verdict_of_npm
from support.server import DEADLINE, Node, running_node, until
from support.telling import settled
from support.working import hurry

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The user's backend."""
    async with running_receiver() as running:
        yield running


@asynccontextmanager
async def telling(receiver: Receiver, fal: FalDouble, database_url: str, **settings: Any) -> AsyncIterator[Node]:
    """A node that tells the receiver."""
    given = {"forward_url": f"{receiver.url}/hook?from=hookcast", "forward_secret": SECRET, **settings}
    async with running_node(fal, database_url=database_url, **given) as node:
        yield node


@pytest.fixture
async def node(receiver: Receiver, fal: FalDouble, any_database_url: str) -> AsyncIterator[Node]:
    """A node that tells the ends of jobs."""
    async with telling(receiver, fal, any_database_url) as running:
        yield running


async def end(node: Node, name: str, **fields: Any) -> None:
    """Send the webhook that ends a job."""
    assert (await node.post_webhook(node.fal.webhook(name, **fields))).status_code == 200


async def put_off(node: Node) -> None:
    """Wait until an event waits for its next attempt."""
    async with asyncio.timeout(DEADLINE):
        while (await node.services.store.work.next_due([Kind.TELL])).get(Kind.TELL, 0.0) < 60:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_waiting(node: Node, count: int, kind: Kind = Kind.TELL) -> None:
    """Wait until so many pieces of this kind are left."""
    async with asyncio.timeout(DEADLINE):
        while await node.services.store.work.waiting(kind) != count:  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.005)


def types(receiver: Receiver) -> list[str]:
    """What was told, in order."""
    return [event["type"] for event in receiver.events]


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


@pytest.mark.parametrize("answer", [500, 404, (302, {"Location": "/elsewhere"}), (429, {"Retry-After": "1"})])
async def test_an_event_that_was_refused_is_sent_again_with_the_same_id(
    node: Node, receiver: Receiver, answer: Status
) -> None:
    """Redirects are not followed. Each attempt is signed anew."""
    receiver.script.append(answer)
    await end(node, "job-1")
    first, second = await receiver.received(2)
    await settled(node)
    assert (first.id, first.body) == (second.id, second.body)
    assert int(second.headers["webhook-timestamp"]) >= int(first.headers["webhook-timestamp"]) + 4
    assert second.verified() == first.event
    assert second.at - first.at > RETRIES[0] * 0.85


async def test_a_connection_that_breaks_is_another_attempt(node: Node, receiver: Receiver) -> None:
    """And nothing of the address is logged."""
    receiver.script.append(HANG)
    with capture_logs() as lines:
        await end(node, "job-1")
        await receiver.received(1)
        receiver.end()
        await receiver.received(2)
        await settled(node)
    [line] = [line for line in lines if line["event"] == "event_not_told"]
    assert (line["request_id"], line["type"], line["attempt"], line["retry_in"] >= 4) == (
        "job-1",
        "job.completed",
        1,
        True,
    )
    assert "from=hookcast" not in repr(lines)


async def test_a_receiver_that_answers_410_is_asked_no_more(node: Node, receiver: Receiver) -> None:
    receiver.script.append(410)
    await end(node, "job-1")
    await receiver.received(1)
    await settled(node)
    assert len(receiver.deliveries) == 1


async def test_retry_after_is_obeyed(receiver: Receiver, fal: FalDouble, any_database_url: str) -> None:
    """Up to a day, and never sooner than the schedule."""
    waits: list[float] = []
    receiver.script.extend([(503, {"Retry-After": "3600"}), (429, {"Retry-After": "1"}), (429, {"Retry-After": "x"})])
    async with telling(receiver, fal, any_database_url) as node, hurry(any_database_url, Kind.TELL, waits):
        await end(node, "job-1")
        await receiver.received(4)
        await settled(node)
    assert waits == [
        pytest.approx(3600, abs=30),
        pytest.approx(300, rel=0.2),
        pytest.approx(1800, rel=0.2),
    ]


async def test_after_four_days_it_is_given_up_aloud(receiver: Receiver, fal: FalDouble, any_database_url: str) -> None:
    """By the schedule of the specification, jittered; with an error in the log, and in the metrics."""
    waits: list[float] = []
    receiver.decide = lambda _: 500
    with capture_logs() as lines:
        async with telling(receiver, fal, any_database_url) as node, hurry(any_database_url, Kind.TELL, waits):
            await end(node, "job-1")
            await receiver.received(10)
            await settled(node)
            metrics = (await node.client.get("/metrics")).text
    assert waits == [pytest.approx(pause, rel=0.2, abs=4) for pause in RETRIES]
    assert len({told.id for told in receiver.deliveries}) == 1
    [line] = [line for line in lines if line["event"] == "event_given_up"]
    assert (line["log_level"], line["attempt"], line["reason"]) == ("error", 10, "answered 500")
    assert 'hookcast_told_total{answer="refused"} 10.0' in metrics
    assert 'hookcast_told_total{answer="given_up"} 1.0' in metrics


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


async def test_a_backend_that_hangs_is_given_up_after_its_time_and_holds_up_nothing_else(
    receiver: Receiver, fal: FalDouble, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than are sent at once: fal's webhooks are passed on to the other route meanwhile."""
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 600.0)
    receiver.decide = lambda told: HANG if told.path.startswith("/hook") else 200
    async with telling(receiver, fal, database_url, forward_fal=f"{receiver.url}/fal") as node:
        for number in range(150):
            await end(node, f"job-{number}")
        await until(lambda: sum(told.path == "/fal" for told in receiver.deliveries) == 150)
        await until(lambda: receiver.open == 128)
        assert receiver.most_open <= 2 * 128
        receiver.end()


async def test_no_answer_in_time_is_a_failure(
    receiver: Receiver, fal: FalDouble, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 0.2)
    receiver.script.append(HANG)
    async with telling(receiver, fal, database_url) as node:
        await end(node, "job-1")
        await receiver.received(1)
        await until(lambda: 'told_total{answer="timeout"} 1.0' in node.services.metrics.text("")[0].decode())


async def test_started_and_progress_are_told_in_order_where_they_are_wanted(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    """What clients do not see is no progress."""
    wanted = "job.started,job.progress,job.completed"
    async with telling(receiver, fal, any_database_url, forward_events=wanted) as node:
        apply = node.services.dispatcher.apply
        await node.register("job-1", endpointId=ENDPOINT)
        for update in (
            Progressed(phase=Phase.QUEUED, queue_position=2),
            CancelAsked(),
            Progressed(phase=Phase.RUNNING),
        ):
            await apply("job-1", update)
            await settled(node)
        await end(node, "job-1")
        await settled(node)
        assert types(receiver) == ["job.progress", "job.started", "job.completed"]
        versions = [event["data"]["version"] for event in receiver.events]
        assert versions == sorted(versions)
        assert len({told.id for told in receiver.deliveries}) == 3


async def test_the_end_waits_for_what_came_before_until_that_has_failed_three_times(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    """And of progress that nobody has been told, only the newest is."""
    receiver.decide = lambda told: 500 if told.event["type"] == "job.started" else 200
    wanted = "job.started,job.progress,job.completed"
    async with telling(receiver, fal, any_database_url, forward_events=wanted) as node:
        apply = node.services.dispatcher.apply
        await apply("job-1", Progressed(phase=Phase.RUNNING), "webhook")
        await receiver.received(1)
        await node.register("job-1", owner="user-1")
        await node.register("job-1", group="group-1")
        await end(node, "job-1")
        async with hurry(any_database_url, Kind.TELL, []):
            await until(lambda: "job.completed" in types(receiver))
            told = types(receiver)
    assert told[:3] == ["job.started"] * 3
    assert "job.progress" not in told


@pytest.mark.parametrize(("update", "event"), [(Phase.QUEUED, "job.progress"), (Phase.RUNNING, "job.started")])
async def test_the_end_does_not_wait_for_what_the_backend_wants_much_later(
    receiver: Receiver, fal: FalDouble, any_database_url: str, update: Phase, event: str
) -> None:
    """`Retry-After` is of the event that it answers. Progress that still waits is not told after the end."""
    receiver.decide = lambda told: (503, {"Retry-After": "86400"}) if told.event["type"] == event else 200
    wanted = "job.started,job.progress,job.completed"
    async with telling(receiver, fal, any_database_url, forward_events=wanted) as node:
        await node.register("job-1", endpointId=ENDPOINT)
        await node.services.dispatcher.apply("job-1", Progressed(phase=update, queue_position=2))
        await put_off(node)
        await end(node, "job-1")
        await receiver.received(2)
        assert types(receiver) == [event, "job.completed"]
        left = 1 if event == "job.started" else 0
        await until_waiting(node, left)


async def test_progress_that_waits_gives_way_to_newer_progress(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    receiver.script.append((503, {"Retry-After": "3600"}))
    async with telling(receiver, fal, any_database_url, forward_events="job.progress") as node:
        await node.register("job-1", endpointId=ENDPOINT)
        await node.services.dispatcher.apply("job-1", Progressed(phase=Phase.QUEUED, queue_position=3))
        await put_off(node)
        await node.services.dispatcher.apply("job-1", Progressed(phase=Phase.QUEUED, queue_position=2))
        await receiver.received(2)
        await until_waiting(node, 0)
    assert [told["data"]["progress"]["queuePosition"] for told in receiver.events] == [3, 2]


async def test_a_job_with_a_large_result_is_told_whole(node: Node, receiver: Receiver) -> None:
    payload = {"text": "x" * 3_000_000}
    await end(node, "job-1", payload=payload)
    [told] = await receiver.received(1)
    assert told.verified()["data"]["result"] == payload


async def test_what_was_committed_without_a_backend_is_not_told_later(
    receiver: Receiver, fal: FalDouble, database_url: str
) -> None:
    """No row is written without HOOKCAST_FORWARD_URL."""
    async with running_node(fal, database_url=database_url) as node:
        await end(node, "job-1")
        assert await node.services.store.work.waiting(Kind.TELL) == 0
    async with telling(receiver, fal, database_url) as node:
        await end(node, "job-2")
        await settled(node)
    assert [event["data"]["requestId"] for event in receiver.events] == ["job-2"]


async def test_what_waits_when_the_backend_is_taken_away_is_dropped_after_days(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    """Not before: another node may still have it, or it comes back."""
    receiver.decide = lambda _: 503
    async with telling(receiver, fal, any_database_url, forward_fal=receiver.url) as node:
        for name in ("job-1", "job-2"):
            await end(node, name)
        await receiver.received(4)
        async with asyncio.timeout(DEADLINE):
            while any([await node.services.store.work.due(kind) for kind in (Kind.TELL, Kind.RELAY)]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    await age(any_database_url, {"job-1": 4 * 86400.0, "job-2": 2 * 86400.0, "": 4 * 86400.0})
    with capture_logs() as lines:
        async with running_node(fal, database_url=any_database_url) as node:
            await until_waiting(node, 1)
            await settled(node, Kind.RETELL)
            await until_waiting(node, 1, Kind.RELAY)
            assert await node.services.store.work.request_ids() == {"job-2"}
            await node.services.scribe.write()
            [given_up] = [
                line for line in await node.services.store.journal.of_job("job-1") if line.event == "telling_given_up"
            ]
    assert json.decode(given_up.facts)["type"] == "job.completed"
    dropped = {(line["kind"], line["request_id"]) for line in lines if line["event"] == "work_dropped"}
    assert dropped == {("tell", "job-1"), ("relay", "job-1"), ("retell", None)}


async def age(url: str, seconds: Mapping[str, float]) -> None:
    """Let the work of these jobs have been due for so long, and add a redelivery, which has no job."""
    database, now = open_database(url), datetime.now(UTC)
    await database.write(lambda connection: add(database, connection, [retelling(now, now)]))
    for name, ago in seconds.items():
        due = update(work).where(work.c.request_id == name).values(due_at=database.clock - ago)
        await database.write(lambda connection, due=due: connection.execute(due))  # type: ignore[misc]
    await database.close()

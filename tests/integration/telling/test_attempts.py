"""A backend that refuses, hangs or breaks off is told again, until it takes it or it is given up."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from msgspec import json
from sqlalchemy import update
from structlog.testing import capture_logs

from hookcast.consequences import Kind
from hookcast.forward import sending
from hookcast.forward.schedule import RETRIES
from hookcast.store.database import open_database
from hookcast.store.schema import work
from hookcast.store.work import add
from hookcast.upkeep.reteller import retelling
from support.fal import FalDouble
from support.receiver import HANG, Receiver, Status
from support.server import DEADLINE, Node, running_node, until
from support.telling import end, settled, telling, until_waiting
from support.working import hurry

pytestmark = pytest.mark.anyio


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

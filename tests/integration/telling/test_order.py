"""The events of a job are told in order: its end waits for what came before; new progress replaces older."""

import pytest

from hookcast.consequences import Kind
from hookcast.jobs import CancelAsked, Phase, Progressed
from support.fal import ENDPOINT, FalDouble
from support.receiver import Receiver
from support.server import until
from support.telling import end, put_off, settled, telling, types, until_waiting
from support.working import hurry

pytestmark = pytest.mark.anyio


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

"""The backend is told again: of one job, and of all that ended since its outage began."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from hookcast.consequences import Kind
from hookcast.push.shared import TURN_BYTES
from hookcast.upkeep import reteller
from hookcast.wire import rfc3339
from support.access import ADMIN, API_KEY, SECRET, token
from support.fal import ENDPOINT, FalDouble
from support.receiver import SECRET as WHSEC
from support.receiver import Receiver, running_receiver
from support.server import Node, running_node, until
from support.telling import settled

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The user's backend."""
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def node(receiver: Receiver, fal: FalDouble, any_database_url: str) -> AsyncIterator[Node]:
    """A node that tells it."""
    settings: dict[str, Any] = {"forward_url": receiver.url, "forward_secret": WHSEC}
    async with running_node(fal, database_url=any_database_url, **settings) as running:
        yield running


async def end(node: Node, *names: str) -> None:
    """End jobs, and wait until they are told."""
    for name in names:
        await node.post_webhook(node.fal.webhook(name))
    await settled(node)


async def test_the_end_of_a_job_is_told_again_with_the_same_id(node: Node, receiver: Receiver) -> None:
    """And the answer is the job."""
    await end(node, "job-1")
    answer = await node.client.post("/api/fal-jobs/job-1/redeliver")
    assert (answer.status_code, answer.json()["status"]) == (202, "completed")
    await settled(node)
    first, second = receiver.deliveries
    assert (first.id, first.body) == (second.id, second.body)


async def test_one_that_waits_for_its_next_attempt_is_told_at_once_with_all_its_attempts(
    node: Node, receiver: Receiver
) -> None:
    receiver.script.append((503, {"Retry-After": "3600"}))
    await node.post_webhook(node.fal.webhook("job-1"))
    await receiver.received(1)
    while not (await node.services.store.work.next_due([Kind.TELL])).get(Kind.TELL, 0.0) > 0:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    assert (await node.client.post("/api/fal-jobs/job-1/redeliver")).status_code == 202
    await settled(node)
    first, second = receiver.deliveries
    assert first.id == second.id


async def test_what_cannot_be_told_again(node: Node, fal: FalDouble, database_url: str) -> None:
    await node.register("job-1", endpointId=ENDPOINT)
    for path, status, code in (
        ("/api/fal-jobs/job-1/redeliver", 409, "not_terminal"),
        ("/api/fal-jobs/job-2/redeliver", 404, "job_not_found"),
        ("/api/redeliver", 422, "invalid_request"),
        ("/api/redeliver?since=yesterday", 422, "invalid_request"),
        ("/api/redeliver?since=2026-11-29T10:00:00", 422, "invalid_request"),
        ("/api/redeliver?since=0001-01-01T00:00:00%2B14:00", 422, "invalid_request"),
        ("/api/redeliver?since=253402300800", 422, "invalid_request"),  # the year 10000
    ):
        answer = await node.client.post(path)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    async with running_node(fal, database_url=f"{database_url}.off") as off:
        for path in ("/api/fal-jobs/job-1/redeliver", "/api/redeliver?since=2026-11-29T10:00:00Z"):
            answer = await off.client.post(path)
            assert (answer.status_code, answer.json()["code"]) == (409, "forwarding_off")
        answer = await off.client.post("/api/redeliver?since=yesterday")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_only_an_api_key_has_the_backend_told_again(
    receiver: Receiver, fal: FalDouble, database_url: str
) -> None:
    """Not a token that shows the job."""
    settings: dict[str, Any] = {"forward_url": receiver.url, "forward_secret": WHSEC}
    keys = {"api_keys": API_KEY, "token_secret": SECRET}
    async with running_node(fal, database_url=database_url, **settings, **keys) as node:
        await end(node, "job-1")
        paths = ("/api/fal-jobs/job-1/redeliver", "/api/redeliver?since=2026-11-29T10:00:00Z")
        bearer = {"Authorization": f"Bearer {token(jobs=['job-1'])}"}
        answers = [await node.client.post(path, headers=headers) for headers in ({}, bearer, ADMIN) for path in paths]
        assert [answer.status_code for answer in answers] == [401, 401, 403, 403, 202, 202]


async def test_all_jobs_that_ended_since_a_time_are_told_again(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps, whatever ended at the same moment; not those that ended before, nor what is pending."""
    monkeypatch.setattr(reteller, "STEP", 3)
    await end(node, "before")
    await asyncio.sleep(0.002)
    since = datetime.now(UTC)
    await asyncio.sleep(0.002)
    names = [f"job-{number}" for number in range(10)]
    await asyncio.gather(*(node.post_webhook(node.fal.webhook(name)) for name in names))
    await node.register("pending", endpointId=ENDPOINT)
    await settled(node)
    told = {delivery.id for delivery in receiver.deliveries if delivery.event["data"]["requestId"] in names}
    receiver.deliveries.clear()
    answer = await node.client.post("/api/redeliver", params={"since": rfc3339(since + timedelta(milliseconds=1))})
    assert (answer.status_code, answer.json()) == (202, {"redelivering": 10})
    await receiver.received(10)
    await settled(node, Kind.RETELL)
    await settled(node)
    assert len(receiver.deliveries) == 10
    assert {delivery.id for delivery in receiver.deliveries} == told


async def test_a_few_at_a_time_are_told_again(node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a backend is slow, the work that waits for it does not grow with the number of jobs."""
    monkeypatch.setattr(reteller, "STEP", 5)
    monkeypatch.setattr(reteller, "MOST_DUE", 4)
    monkeypatch.setattr(reteller, "PAUSE_SECONDS", 0.01)
    await end(node, *(f"job-{number}" for number in range(20)))
    receiver.deliveries.clear()
    await node.client.post("/api/redeliver", params={"since": "2026-01-01T00:00:00+01:00"})
    most = 0
    while await node.services.store.work.waiting(Kind.RETELL):
        most = max(most, await node.services.store.work.waiting(Kind.TELL))
    await settled(node)
    assert len({delivery.id for delivery in receiver.deliveries}) == 20
    assert most <= 9


async def test_however_many_wait_for_their_next_attempt_all_are_told_again_at_once(
    node: Node, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage, most events wait for hours: they keep nothing back."""
    monkeypatch.setattr(reteller, "MOST_DUE", 2)
    receiver.decide = lambda _: (503, {"Retry-After": "3600"})
    for number in range(5):
        await node.post_webhook(node.fal.webhook(f"job-{number}"))
    await receiver.received(5)
    while (await node.services.store.work.next_due([Kind.TELL])).get(Kind.TELL, 0.0) < 60:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    receiver.decide = None
    await node.client.post("/api/redeliver", params={"since": "2026-01-01T00:00:00Z"})
    await settled(node, Kind.RETELL)
    await settled(node)
    assert len(receiver.deliveries) == 10


@pytest.mark.parametrize(("method", "action", "status"), [("GET", "journal", 200), ("POST", "redeliver", 202)])
async def test_a_large_job_is_answered_when_it_is_its_turn(node: Node, method: str, action: str, status: int) -> None:
    """As polls are: what all answers together hold is bounded."""
    name = 'job-"job":null'
    await node.post_webhook(node.fal.webhook(name, payload={"image": "x" * 2_000_000}))
    path = f"/api/fal-jobs/{quote(name)}/{action}"
    async with node.engine.answers.turn(TURN_BYTES):
        answering = asyncio.ensure_future(node.client.request(method, path))
        await until(lambda: len(node.engine.answers) or answering.done())
        assert not answering.done()
    answer = await answering
    job = answer.json()["job"] if action == "journal" else answer.json()
    assert (answer.status_code, len(job["result"]["image"])) == (status, 2_000_000)

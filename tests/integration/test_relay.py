"""fal's webhooks are passed on, byte for byte with their headers, to a route that verifies fal's own signature."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from structlog.testing import capture_logs

from hookcast.consequences import Kind
from hookcast.fal.signature import signed_message
from support.fal import FalDouble, forged, sign
from support.receiver import Delivery, Receiver, running_receiver
from support.server import Node, running_node
from support.telling import settled
from support.working import hurry

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The route of the user's backend that fal called before."""
    async with running_receiver() as running:
        yield running


@asynccontextmanager
async def relaying(receiver: Receiver, fal: FalDouble, database_url: str, **settings: Any) -> AsyncIterator[Node]:
    """A node that passes fal's webhooks on."""
    given = {"forward_fal": f"{receiver.url}/api/fal/webhook", **settings}
    async with running_node(fal, database_url=database_url, **given) as node:
        yield node


def verified(delivery: Delivery, key: VerifyKey) -> bool:
    """Return whether a route that follows fal's documentation accepts it."""
    names = ("request-id", "user-id", "timestamp", "signature")
    request_id, user_id, timestamp, signature = (delivery.headers[f"x-fal-webhook-{name}"] for name in names)
    message = signed_message(request_id=request_id, user_id=user_id, timestamp=timestamp, body=delivery.body)
    try:
        key.verify(message, bytes.fromhex(signature))
    except BadSignatureError:
        return False
    return True


@pytest.mark.parametrize("size", [1, 100_000, 3_000_000])
async def test_a_route_that_verifies_fals_signature_works_unchanged(
    receiver: Receiver, fal: FalDouble, any_database_url: str, size: int
) -> None:
    async with relaying(receiver, fal, any_database_url) as node:
        body = fal.webhook("job-1", payload={"text": "x" * size}).replace(b":", b" : ")
        signed = {**sign(body, fal.key, request_id="job-1"), "Content-Type": "application/json; charset=utf-8"}
        assert (await node.post_webhook(body, {**signed, "X-Other": "1"})).json() == {"status": "accepted"}
        [passed] = await receiver.received(1)
        await settled(node, Kind.RELAY)
    assert (passed.path, passed.body) == ("/api/fal/webhook", body)
    assert {name: passed.headers.get(name.lower()) for name in signed} == signed
    assert "x-other" not in passed.headers
    assert verified(passed, fal.key.verify_key)


async def test_each_verified_webhook_is_passed_on_once(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    """Also one that changes nothing here; not one that fal has not signed, nor the same one again."""
    async with relaying(receiver, fal, any_database_url) as node:
        body = fal.webhook("job-1")
        first, second = (sign(body, fal.key, request_id=name) for name in ("a", "b"))
        answers = [await node.post_webhook(body, headers) for headers in (first, second, first, forged())]
        assert [answer.json().get("status") for answer in answers] == ["accepted", "duplicate", "duplicate", 401]
        await settled(node, Kind.RELAY)
    signatures = [passed.headers["x-fal-webhook-signature"] for passed in receiver.deliveries]
    assert sorted(signatures) == sorted(headers["x-fal-webhook-signature"] for headers in (first, second))


async def test_it_is_sent_again_while_its_signature_is_valid_and_then_by_the_schedule(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    """Until it is given up aloud."""
    receiver.decide = lambda _: 500
    waits: list[float] = []
    with capture_logs() as lines:
        async with relaying(receiver, fal, any_database_url) as node, hurry(any_database_url, Kind.RELAY, waits):
            await node.post_webhook(fal.webhook("job-1"))
            await receiver.received(12)
            await settled(node, Kind.RELAY)
            metrics = (await node.client.get("/metrics")).text
    pauses = [5, 25, 90, 120, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert waits == [pytest.approx(pause, rel=0.2, abs=4) for pause in pauses]
    assert len({passed.body for passed in receiver.deliveries}) == 1
    assert 'hookcast_relayed_total{answer="refused"} 12.0' in metrics
    assert 'hookcast_relayed_total{answer="given_up"} 1.0' in metrics
    assert "webhook_given_up" in {line["event"] for line in lines}


async def test_it_is_not_passed_on_once_its_job_is_removed(
    receiver: Receiver, fal: FalDouble, any_database_url: str
) -> None:
    receiver.script.append(503)
    async with relaying(receiver, fal, any_database_url) as node:
        await node.post_webhook(fal.webhook("job-1"))
        await receiver.received(1)
        assert (await node.client.delete("/api/fal-jobs/job-1")).status_code == 204
        async with hurry(any_database_url, Kind.RELAY, []):
            await settled(node, Kind.RELAY)
    assert len(receiver.deliveries) == 1

"""What a receiver of webhooks sees, for a normal job and for each fault."""

import asyncio
import time

import httpx
import pytest

from hookcast.emulator import USER_ID, begin_shutdown
from hookcast.errors import SignatureInvalid, TimestampOutOfRange
from hookcast.fal.signature import verify
from integration.emulator.playing import DEADLINE, IMAGE, Delivery, Emulated, Receiver, emulated, receiving
from support.ports import quiet_port

pytestmark = pytest.mark.anyio


async def _verify(fal: Emulated, *deliveries: Delivery) -> None:
    keys = await fal.keys()
    for delivery in deliveries:
        verify(delivery.headers, delivery.body, keys, now=time.time())


async def test_success_is_told_once_and_signed(fal: Emulated, receiver: Receiver) -> None:
    """One webhook with the very result of the queue, signed with a key of the JWKS."""
    job = await fal.submit(webhook=receiver.url)
    result = (await fal.completed(job)).json()
    await fal.idle()
    [delivery] = await receiver.wait()
    await _verify(fal, delivery)
    assert (delivery.headers.request_id, delivery.headers.user_id) == (job.request_id, USER_ID)
    assert delivery.json == {
        "request_id": job.request_id,
        "gateway_request_id": job.request_id,
        "status": "OK",
        "payload": result,
        "error": None,
        "payload_error": None,
    }


async def test_seed_keeps_its_digits(fal: Emulated, receiver: Receiver) -> None:
    """Webhook and result carry the same seed beyond 2^53."""
    job = await fal.submit(IMAGE, webhook=receiver.url)
    result = (await fal.completed(job)).json()
    [delivery] = await receiver.wait()
    assert delivery.json["payload"] == result
    assert result["seed"] > 2**53


async def test_no_webhook_without_an_address(fal: Emulated, receiver: Receiver) -> None:
    """A webhook address inside the input is only input, as at fal."""
    await fal.client.post(f"/{IMAGE}", json={"fal_webhook": receiver.url, "webhook_url": receiver.url})
    await fal.idle()
    assert receiver.received == []


async def test_webhook_to_another_machine_is_never_sent(fal: Emulated) -> None:
    """The job itself ends as ever."""
    job = await fal.submit(webhook="http://192.0.2.1/hook")
    await fal.idle()
    assert (await fal.client.get(job.url("response_url"))).status_code == 200


@pytest.mark.parametrize("code", [500, 503, 400, 401, 404, 429])
async def test_every_refusal_is_tried_again(fal: Emulated, receiver: Receiver, code: int) -> None:
    """A 4xx is repeated like a 5xx, each attempt signed for itself, until a 2xx."""
    receiver.answers.extend([code, code])
    await fal.submit(webhook=receiver.url, speed=1000)
    await fal.idle()
    deliveries = await receiver.wait(3)
    assert len(deliveries) == 3
    await _verify(fal, *deliveries)


async def test_redirect_is_not_followed_and_not_repeated(fal: Emulated, receiver: Receiver) -> None:
    """An address that redirects loses its webhook."""
    receiver.answers.append(307)
    await fal.submit(webhook=receiver.url, speed=1000)
    await fal.idle()
    assert len(receiver.received) == 1


async def test_receiver_that_starts_late_gets_the_webhook() -> None:
    """A refused connection is tried again."""
    refused, opened = asyncio.Event(), asyncio.Event()

    async def pause(_: float) -> None:
        refused.set()
        await opened.wait()

    port = quiet_port()
    async with asyncio.timeout(DEADLINE), emulated(sleep=pause) as fal:
        await fal.submit(webhook=f"http://127.0.0.1:{port}/hook")
        await refused.wait()
        async with receiving(port) as receiver:
            opened.set()
            await receiver.wait()


async def test_model_error(fal: Emulated, receiver: Receiver) -> None:
    """The model's details are the payload, as the result is."""
    job = await fal.submit(webhook=receiver.url, faults=["model_error"])
    result = await fal.completed(job)
    [delivery] = await receiver.wait()
    assert (delivery.json["status"], delivery.json["error"]) == ("ERROR", "Invalid status code: 422")
    assert delivery.json["payload"] == result.json()


async def test_infrastructure_error(fal: Emulated, receiver: Receiver) -> None:
    """The queue's own error is a text without payload."""
    await fal.submit(webhook=receiver.url, faults=["infrastructure_error"])
    [delivery] = await receiver.wait()
    assert (delivery.json["status"], delivery.json["payload"]) == ("ERROR", None)
    assert delivery.json["error"] == "Runner failed with a server error"


async def test_payload_error(fal: Emulated, receiver: Receiver) -> None:
    """A success without payload: the result is fetched from the queue."""
    job = await fal.submit(webhook=receiver.url, faults=["payload_error"])
    [delivery] = await receiver.wait()
    assert (delivery.json["status"], delivery.json["payload"], delivery.json["error"]) == ("OK", None, None)
    assert "not JSON serializable" in str(delivery.json["payload_error"])
    assert "video" in (await fal.client.get(job.url("response_url"))).json()


async def test_big_result(fal: Emulated, receiver: Receiver) -> None:
    """The whole result is in the webhook."""
    await fal.submit(webhook=receiver.url, faults=["big_result"])
    [delivery] = await receiver.wait()
    assert len(delivery.body) > 2**20
    await _verify(fal, delivery)


async def test_webhook_lost(fal: Emulated, receiver: Receiver) -> None:
    """The job completes and nobody tells."""
    job = await fal.submit(webhook=receiver.url, faults=["webhook_lost"])
    await fal.idle()
    assert receiver.received == []
    assert (await fal.client.get(job.url("response_url"))).status_code == 200


async def test_webhook_thrice(fal: Emulated, receiver: Receiver) -> None:
    """Three copies of one body, though the first was taken."""
    await fal.submit(webhook=receiver.url, faults=["webhook_thrice"], speed=1000)
    await fal.idle()
    assert len(receiver.received) == 3
    assert len({delivery.body for delivery in receiver.received}) == 1
    await _verify(fal, *receiver.received)


async def test_webhook_first(fal: Emulated, receiver: Receiver) -> None:
    """The webhook has arrived when the submit is answered, and the answer still says IN_QUEUE."""
    job = await fal.submit(webhook=receiver.url, faults=["webhook_first"], speed=0.05)
    assert [delivery.json["request_id"] for delivery in receiver.received] == [job.request_id]
    assert job.answer["status"] == "IN_QUEUE"
    assert (await fal.client.get(job.url("status_url"))).json()["status"] == "COMPLETED"


async def test_webhook_first_does_not_hang_with_its_receiver(
    fal: Emulated, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that does not answer holds the submit up for a limited time only."""
    monkeypatch.setattr("hookcast.emulator.app.WEBHOOK_FIRST_SECONDS", 0.1)
    receiver.gate.clear()
    job = await fal.submit(webhook=receiver.url, faults=["webhook_first"])
    assert job.request_id
    receiver.gate.set()


async def test_webhook_late(fal: Emulated, receiver: Receiver) -> None:
    """The queue knows of the end well before the receiver does."""
    job = await fal.submit(webhook=receiver.url, faults=["webhook_late"], seconds=50, speed=50)
    await fal.completed(job)
    assert receiver.received == []
    await receiver.wait()


async def test_unknown_key(fal: Emulated, receiver: Receiver) -> None:
    """The first attempt is signed by a stranger, the retry by a key of the JWKS."""
    receiver.answers.append(401)
    await fal.submit(webhook=receiver.url, faults=["unknown_key"], speed=1000)
    first, second = await receiver.wait(2)
    with pytest.raises(SignatureInvalid):
        await _verify(fal, first)
    await _verify(fal, second)


async def test_old_timestamp(fal: Emulated, receiver: Receiver) -> None:
    """The first attempt is signed ten minutes ago, the retry now."""
    receiver.answers.append(401)
    await fal.submit(webhook=receiver.url, faults=["old_timestamp"], speed=1000)
    first, second = await receiver.wait(2)
    with pytest.raises(TimestampOutOfRange):
        await _verify(fal, first)
    await _verify(fal, second)


async def test_cancelled_job_sends_an_error(fal: Emulated, receiver: Receiver) -> None:
    """A job cancelled in the queue tells so, once."""
    job = await fal.submit(webhook=receiver.url, speed=0.05)
    await fal.client.put(job.url("cancel_url"))
    await fal.idle()
    [delivery] = await receiver.wait()
    assert (delivery.json["status"], delivery.json["error"]) == ("ERROR", "Request was cancelled")


async def test_faults_can_be_combined(fal: Emulated, receiver: Receiver) -> None:
    """A failing model whose webhook comes three times before the submit is answered, first with a wrong key."""
    faults = ["model_error", "webhook_thrice", "webhook_first", "unknown_key"]
    await fal.submit(webhook=receiver.url, faults=faults, speed=1000)
    first, *others = await receiver.wait(3)
    assert first.json["status"] == "ERROR"
    await _verify(fal, *others)


async def test_shutdown_does_not_wait_for_a_receiver_that_hangs(receiver: Receiver) -> None:
    """The emulator stops in the middle of a delivery, which has 15 seconds."""
    receiver.gate.clear()
    async with emulated() as fal:
        await fal.submit(webhook=receiver.url)
        await receiver.wait()
        begin_shutdown(fal.app)
        started = time.monotonic()
    assert time.monotonic() - started < 10
    receiver.gate.set()


async def test_environment_proxy_is_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine does not get between emulator and receiver."""
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with httpx.AsyncClient(trust_env=False) as client, emulated() as running:
        fal = Emulated(running.url, running.app, client)
        answer = await client.post(
            f"{fal.url}/{IMAGE}", params={"fal_webhook": receiver.url}, json={}, headers={"Authorization": "Key k"}
        )
        assert answer.status_code == 200
        await receiver.wait()

"""fal's own Python client against the emulator, changed in nothing but the host."""

import asyncio
from collections.abc import AsyncIterator

import fal_client
import pytest

from integration.emulator.playing import IMAGE, VIDEO, Emulated, Receiver

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(fal: Emulated, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[fal_client.AsyncClient]:
    """The asynchronous client, told the emulator's address."""
    monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", f"{fal.url}/")
    made = fal_client.AsyncClient(key="any-key-will-do", default_timeout=60.0)
    yield made
    await (await made._client).aclose()


async def test_submit_status_and_result(client: fal_client.AsyncClient) -> None:
    """The handle follows the addresses of the answer and ends with the result."""
    handle = await client.submit(VIDEO, {"prompt": "a cat", "_emulator": {"speed": 2}})
    assert isinstance(await handle.status(with_logs=True), fal_client.Queued)
    result = await handle.get(interval=0.02)
    assert result["video"]["content_type"] == "video/mp4"
    status = await handle.status(with_logs=True)
    assert isinstance(status, fal_client.Completed)
    assert status.logs is not None
    assert len(status.logs) == 7
    assert status.metrics["inference_time"] > 0


async def test_iter_events_goes_through_the_three_states(client: fal_client.AsyncClient) -> None:
    """Polling sees the job queued, running with logs, and completed."""
    handle = await client.submit(VIDEO, {"prompt": "a cat", "_emulator": {"speed": 2}})
    events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
    assert list(dict.fromkeys(type(event) for event in events)) == [
        fal_client.Queued,
        fal_client.InProgress,
        fal_client.Completed,
    ]


async def test_status_result_and_cancel_by_id(client: fal_client.AsyncClient) -> None:
    """The addresses that the client builds from endpoint and id work as well."""
    handle = await client.submit(IMAGE, {"prompt": "a cat"})
    result = await client.result(IMAGE, handle.request_id)
    assert result["images"][0]["width"] == 640
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await client.cancel(IMAGE, handle.request_id)
    assert caught.value.status_code == 400


async def test_cancel(client: fal_client.AsyncClient) -> None:
    """A cancelled job is completed with an error, and has no result."""
    handle = await client.submit(VIDEO, {"_emulator": {"speed": 0.05}})
    await handle.cancel()
    status = await handle.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError, match="Request was cancelled"):
        await handle.get()


async def test_failing_model_raises_its_error(client: fal_client.AsyncClient) -> None:
    """The model's own details reach the caller."""
    handle = await client.submit(VIDEO, {"_emulator": {"faults": ["model_error"]}})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await handle.get(interval=0.02)
    assert caught.value.status_code == 422
    assert "asked for a model error" in str(caught.value.message)


async def test_infrastructure_error_has_its_type(client: fal_client.AsyncClient) -> None:
    """The client finds the machine-readable type."""
    handle = await client.submit(VIDEO, {"_emulator": {"faults": ["infrastructure_error"]}})
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await handle.get(interval=0.02)
    assert caught.value.error_type == "runner_server_error"


async def test_webhook_url_reaches_the_emulator(client: fal_client.AsyncClient, receiver: Receiver) -> None:
    """The client's `webhook_url` becomes fal's webhook."""
    handle = await client.submit(IMAGE, {"prompt": "a cat"}, webhook_url=receiver.url)
    [delivery] = await receiver.wait()
    assert delivery.json["request_id"] == handle.request_id


async def test_synchronous_client_subscribes(fal: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocking client goes the whole way, too."""
    monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", f"{fal.url}/")

    def subscribe() -> dict[str, object]:
        client = fal_client.SyncClient(key="any-key-will-do", default_timeout=60.0)
        try:
            result: dict[str, object] = client.subscribe(IMAGE, {"prompt": "a cat"})
            return result
        finally:
            client._client.close()

    assert "images" in await asyncio.to_thread(subscribe)

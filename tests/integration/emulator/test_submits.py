"""A submit to the emulator, over HTTP: its answer, and each refusal."""

import pytest

from integration.emulator.playing import IMAGE, VIDEO, Emulated

pytestmark = pytest.mark.anyio
SLOW = 0.05  # at this speed a job keeps its first state for ten seconds and more


async def test_submit_answers_with_id_position_and_addresses(fal: Emulated) -> None:
    """The answer has fal's six fields and the header that the JavaScript client reads."""
    response = await fal.client.post(f"/{VIDEO}", json={"prompt": "a cat"})
    body = response.json()
    base = f"{fal.url}/fal-ai/kling-video/requests/{body['request_id']}"
    assert body == {
        "status": "IN_QUEUE",
        "request_id": response.headers["x-fal-request-id"],
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
        "queue_position": 3,
    }


@pytest.mark.parametrize(
    ("endpoint_id", "app"),
    [
        ("fal-ai/flux", "fal-ai/flux"),
        ("fal-ai/flux/dev/image-to-image", "fal-ai/flux"),
        ("workflows/owner/name", "workflows/owner/name"),
        ("comfy/owner/name/path", "comfy/owner/name"),
    ],
)
async def test_addresses_stand_below_the_app(fal: Emulated, endpoint_id: str, app: str) -> None:
    """A namespace shifts the app by one segment, and the addresses work."""
    job = await fal.submit(endpoint_id)
    assert job.url("response_url") == f"{fal.url}/{app}/requests/{job.request_id}"
    assert (await fal.client.get(job.url("status_url"))).status_code in {200, 202}


async def test_job_is_unknown_below_its_whole_endpoint_id(fal: Emulated) -> None:
    """Who builds the address from the endpoint instead of the app gets 404, as at fal."""
    job = await fal.submit()
    response = await fal.client.get(f"/{VIDEO}/requests/{job.request_id}/status")
    assert (response.status_code, response.json()) == (404, {"detail": "Request not found"})


@pytest.mark.parametrize("header", ["", "Bearer abc", "Key"])
async def test_request_without_a_key_is_refused(fal: Emulated, header: str) -> None:
    """Every route of the queue wants `Authorization: Key …`."""
    job = await fal.submit()
    for method, url in [
        ("POST", f"/{VIDEO}"),
        ("GET", job.url("status_url")),
        ("GET", job.url("status_url") + "/stream"),
        ("GET", job.url("response_url")),
        ("PUT", job.url("cancel_url")),
    ]:
        response = await fal.client.request(method, url, headers={"Authorization": header}, json={})
        assert response.status_code == 401
        assert "Authorization: Key" in response.json()["detail"]


async def test_input_that_is_no_object_is_refused(fal: Emulated) -> None:
    """The refusal has the shape of a model's own errors."""
    response = await fal.client.post(f"/{IMAGE}", content=b"[1]")
    assert response.status_code == 422
    [detail] = response.json()["detail"]
    assert set(detail) == {"loc", "msg", "type"}


async def test_unknown_fault_is_refused(fal: Emulated) -> None:
    """A misspelt fault does not pass as a job without faults."""
    response = await fal.client.post(f"/{IMAGE}", json={"_emulator": {"faults": ["lost"]}})
    assert response.status_code == 422
    assert "webhook_lost" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("method", "path", "code"), [("POST", "/flux", 404), ("GET", "/a/b", 405), ("PUT", "/a/b", 405)]
)
async def test_other_addresses_are_answered_in_json(fal: Emulated, method: str, path: str, code: int) -> None:
    """Clients of fal expect JSON whatever goes wrong."""
    response = await fal.client.request(method, path, json={})
    assert response.status_code == code
    assert isinstance(response.json()["detail"], str)


async def test_too_large_an_input_is_refused(fal: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is not read past the limit."""
    monkeypatch.setattr("hookcast.emulator.app.MAX_BODY_BYTES", 100)
    response = await fal.client.post(f"/{IMAGE}", json={"prompt": "x" * 200})
    assert response.status_code == 413


async def test_full_queue_is_answered_429(fal: Emulated) -> None:
    """The emulator's memory is bounded."""
    fal.app.state.emulator.max_running = 1
    await fal.submit(speed=SLOW)
    assert (await fal.client.post(f"/{IMAGE}", json={})).status_code == 429

"""Each route of a submitted job, over HTTP."""

import asyncio
import time
from itertools import pairwise

import httpx
import pytest

from hookcast.emulator import begin_shutdown, create_emulator
from integration.emulator.playing import IMAGE, KEY, VIDEO, Emulated, Job, emulated, serving

pytestmark = pytest.mark.anyio
AT_ONCE = 10.0  # seconds, on a busy machine
SLOW = 0.05  # at this speed a job keeps its first state for ten seconds and more
RUNNING = 1.0  # at this speed a job is running after 2.4 s, for 5.6 s


async def _until_running(fal: Emulated, job: Job) -> None:
    async with fal.client.stream("GET", f"{job.url('status_url')}/stream") as stream:
        async for line in stream.aiter_lines():
            if "IN_PROGRESS" in line:
                return


async def test_status_of_a_queued_job_is_202_with_its_position(fal: Emulated) -> None:
    """A job in the queue tells how many are ahead."""
    job = await fal.submit(speed=SLOW)
    response = await fal.client.get(job.url("status_url"))
    assert response.status_code == 202
    assert response.json() == {**job.answer, "logs": None}


async def test_status_of_a_running_job_is_202_with_logs_when_asked(fal: Emulated) -> None:
    """Logs are there for `logs=1`, and null for `logs=false`."""
    job = await fal.submit(speed=RUNNING)
    await _until_running(fal, job)
    shown = await fal.client.get(job.url("status_url"), params={"logs": "1"})
    hidden = await fal.client.get(job.url("status_url"), params={"logs": "false"})
    assert (shown.status_code, shown.json()["status"]) == (202, "IN_PROGRESS")
    assert isinstance(shown.json()["logs"], list)
    assert hidden.json()["logs"] is None


async def test_status_of_a_completed_job_is_200_with_metrics(fal: Emulated) -> None:
    """A completed job has all its log lines and the time it took."""
    job = await fal.submit()
    await fal.completed(job)
    response = await fal.client.get(job.url("status_url"), params={"logs": "true"})
    assert (response.status_code, response.json()["status"]) == (200, "COMPLETED")
    assert len(response.json()["logs"]) == 7
    assert response.json()["metrics"]["inference_time"] > 0


async def test_speed_of_one_job_can_be_chosen(fal: Emulated) -> None:
    """`_emulator.speed` replaces the emulator's own speed."""
    slow, fast = await fal.submit(speed=SLOW), await fal.submit(speed=1000)
    await fal.completed(fast)
    assert (await fal.client.get(slow.url("status_url"))).json()["queue_position"] == 3


async def test_stream_tells_the_whole_timeline_and_closes(fal: Emulated) -> None:
    """Positions fall, logs hold only new lines, COMPLETED is the last word."""
    statuses = await fal.statuses(await fal.submit(speed=2), "?logs=1")
    positions = [status["queue_position"] for status in statuses if "queue_position" in status]
    lines = [line for status in statuses for line in (status["logs"] if isinstance(status["logs"], list) else [])]
    phases = list(dict.fromkeys(status["status"] for status in statuses))
    assert positions[0] == 3
    assert positions == sorted(positions, key=str, reverse=True)
    assert phases == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert len(lines) == 7
    assert all(one["timestamp"] < other["timestamp"] for one, other in pairwise(lines))


async def test_stream_has_the_headers_and_lines_of_fal(fal: Emulated) -> None:
    """Unnamed events without ids, as an event stream that nothing may store."""
    job = await fal.submit(speed=1000)
    response = await fal.client.get(f"{job.url('status_url')}/stream", params={"logs": "1"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert {line.partition(":")[0] for line in response.text.splitlines()} == {"data", ""}


async def test_result_of_a_pending_job_is_400(fal: Emulated) -> None:
    """Too early is told in fal's words."""
    job = await fal.submit(speed=SLOW)
    response = await fal.client.get(job.url("response_url"))
    assert (response.status_code, response.json()) == (400, {"detail": "Request is still in progress"})


async def test_result_is_the_models_output(fal: Emulated) -> None:
    """A video endpoint answers with the address of a file that can be fetched."""
    response = await fal.completed(await fal.submit())
    video = response.json()["video"]
    assert response.headers["x-fal-request-id"]
    file = await fal.client.get(video["url"])
    assert (len(file.content), file.headers["content-type"]) == (video["file_size"], video["content_type"])


@pytest.mark.parametrize(
    ("fault", "code"),
    [("model_error", 422), ("infrastructure_error", 500), ("payload_error", 200), ("big_result", 200)],
)
async def test_result_of_each_outcome(fal: Emulated, fault: str, code: int) -> None:
    """A failed job's result is its error; a success stays one whatever its webhook says."""
    job = await fal.submit(IMAGE, faults=[fault])
    response = await fal.completed(job)
    assert response.status_code == code
    assert ("detail" in response.json()) == (code != 200)
    assert response.headers.get("x-fal-error-type") == ("runner_server_error" if code == 500 else None)


async def test_big_result_is_a_mebibyte(fal: Emulated) -> None:
    """A big result comes whole."""
    response = await fal.completed(await fal.submit(faults=["big_result"]))
    assert len(response.content) > 2**20


async def test_cancel_in_the_queue_removes_the_job(fal: Emulated) -> None:
    """It has ended at once with an error of its own."""
    job = await fal.submit(speed=SLOW)
    response = await fal.client.put(job.url("cancel_url"))
    assert (response.status_code, response.json()) == (200, {"status": "OK"})
    status = (await fal.client.get(job.url("status_url"))).json()
    assert (status["status"], status["error_type"]) == ("COMPLETED", "client_cancelled")


async def test_cancel_while_running_ends_the_job_soon(fal: Emulated) -> None:
    """The stream tells the end long before the job would have ended by itself."""
    job = await fal.submit(speed=RUNNING)
    await _until_running(fal, job)
    response = await fal.client.put(job.url("cancel_url"))
    assert (response.status_code, response.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    statuses = await fal.statuses(job)
    assert statuses[0]["status"] == "IN_PROGRESS"
    assert (statuses[-1]["status"], statuses[-1]["error"]) == ("COMPLETED", "Request was cancelled")


async def test_cancel_after_the_end_is_400(fal: Emulated) -> None:
    """An ended job is told to be completed, and keeps its result."""
    job = await fal.submit()
    await fal.completed(job)
    response = await fal.client.put(job.url("cancel_url"))
    assert (response.status_code, response.json()) == (400, {"status": "ALREADY_COMPLETED"})
    assert (await fal.client.get(job.url("response_url"))).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/cancel", {"status": "NOT_FOUND"}),
        ("GET", "/status", {"detail": "Request not found"}),
        ("GET", "/status/stream", {"detail": "Request not found"}),
        ("GET", "", {"detail": "Request not found"}),
    ],
)
async def test_unknown_id_is_404(fal: Emulated, method: str, path: str, body: dict[str, str]) -> None:
    """An id that nobody was given."""
    response = await fal.client.request(method, f"/fal-ai/flux/requests/nothing{path}")
    assert (response.status_code, response.json()) == (404, body)


async def test_jwks_needs_no_key_and_pads_nothing(fal: Emulated) -> None:
    """Two Ed25519 keys in base64url without padding."""
    async with httpx.AsyncClient() as stranger:
        response = await stranger.get(f"{fal.url}/.well-known/jwks.json")
    keys = response.json()["keys"]
    assert [(key["kty"], key["crv"], len(key["x"])) for key in keys] == [("OKP", "Ed25519", 43)] * 2


async def test_video_can_be_read_in_ranges(fal: Emulated) -> None:
    """A browser that seeks asks for a part, and every page may read it."""
    whole = (await fal.client.get("/media/video.mp4")).content
    part = await fal.client.get("/media/video.mp4", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert part.headers["access-control-allow-origin"] == "*"
    assert whole[4:8] == b"ftyp"
    assert whole.index(b"moov") < whole.index(b"mdat")


async def test_image_is_a_png(fal: Emulated) -> None:
    """The image is real, and as big as results say."""
    response = await fal.client.get("/media/image.png")
    assert response.headers["content-type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")
    assert (int.from_bytes(response.content[16:20]), int.from_bytes(response.content[20:24])) == (640, 360)


@pytest.mark.parametrize("name", ["other.mp4", "..%2f__init__.py", "%2e%2e/app.py"])
async def test_nothing_else_is_served_as_media(fal: Emulated, name: str) -> None:
    """Only the two files, by name."""
    assert (await fal.client.get(f"/media/{name}")).status_code in {404, 405}


async def test_shutdown_does_not_wait_for_jobs_streams_and_pauses() -> None:
    """A server with an open stream and a job that takes minutes stops at once."""
    app = create_emulator(speed=SLOW)
    async with httpx.AsyncClient(headers=KEY) as client:
        async with serving(app) as url:
            answer = (await client.post(f"{url}/{VIDEO}", json={})).json()
            async with client.stream("GET", f"{answer['status_url']}/stream") as stream:
                lines = stream.aiter_lines()
                await anext(lines)
                begin_shutdown(app)
                async with asyncio.timeout(AT_ONCE):
                    assert [line async for line in lines] == [""]
            started = time.monotonic()
        assert time.monotonic() - started < AT_ONCE


async def test_submit_during_shutdown_is_refused() -> None:
    """Nothing is taken that would never end."""
    async with emulated() as fal:
        begin_shutdown(fal.app)
        assert (await fal.client.post(f"/{VIDEO}", json={})).status_code == 503

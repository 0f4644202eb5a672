"""The host of the requested files, over HTTP: each fault."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from hookcast.emulator import create_emulator
from hookcast.emulator.hosting import LIE_BYTES
from integration.emulator.playing import IMAGE, VIDEO, Emulated, emulated
from integration.emulator.requested import FAST, SIZE, hash_of, read_into, requested
from support.connections import connected

pytestmark = pytest.mark.anyio


async def test_slow_file_has_the_wanted_rate() -> None:
    """The pauses between its pieces add up to its size by its rate."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with emulated(sleep) as fal:
        file = await requested(fal, bytes_per_second=50_000)
        assert hash_of((await file.get()).content) == file.sha256
    assert sum(pauses) == pytest.approx(20)
    assert max(pauses) <= 0.1


async def test_cut_file_ends_in_the_middle_each_time(fal: Emulated) -> None:
    file = await requested(fal, fault="cut")
    for _ in range(2):
        headers, got = await file.until_broken()
        assert (headers["content-length"], len(got)) == (str(SIZE), SIZE // 2)


async def test_file_that_is_cut_once_is_whole_afterwards(fal: Emulated) -> None:
    """From where it was cut as well as from its beginning."""
    file = await requested(fal, fault="cut", times=1, at=123_456)
    _, beginning = await file.until_broken()
    rest = await file.get(Range=f"bytes={len(beginning)}-")
    assert len(beginning) == 123_456
    assert hash_of(beginning + rest.content) == file.sha256
    assert hash_of((await file.get()).content) == file.sha256


async def test_head_of_a_file_that_is_cut_once_does_not_count(fal: Emulated) -> None:
    file = await requested(fal, fault="cut", times=1)
    await fal.client.head(file.url)
    await file.until_broken()


async def test_stalled_file_falls_silent_and_stays_open(fal: Emulated) -> None:
    file, got = await requested(fal, fault="stall"), bytearray()
    async with fal.client.stream("GET", file.url) as response:
        pieces = response.aiter_raw()
        while len(got) < SIZE // 2:
            got += await anext(pieces)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(pieces), 0.2)


async def test_shutdown_does_not_wait_for_a_stalled_file() -> None:
    async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as running:
        file = await requested(await running.enter_async_context(emulated()), fault="stall")
        async with client.stream("GET", file.url) as response:
            pieces = response.aiter_raw()
            await anext(pieces)
            await running.aclose()
            with pytest.raises(httpx.TransportError):
                await read_into(pieces, bytearray())


async def test_redirect_leads_to_the_file(fal: Emulated) -> None:
    file = await requested(fal, fault="redirect")
    response = await fal.client.get(file.url, follow_redirects=True)
    assert [step.status_code for step in response.history] == [302]
    assert hash_of(response.content) == file.sha256


async def test_redirect_may_lead_elsewhere(fal: Emulated) -> None:
    file = await requested(fal, fault="redirect", url="http://169.254.169.254/latest")
    response = await file.get()
    assert (response.status_code, response.headers["location"]) == (302, "http://169.254.169.254/latest")


async def test_redirect_loop_has_no_end(fal: Emulated) -> None:
    file = await requested(fal, fault="redirect_loop")
    with pytest.raises(httpx.TooManyRedirects):
        await fal.client.get(file.url, follow_redirects=True)


async def test_file_expires_some_time_after_its_job(fal: Emulated) -> None:
    """The seconds are divided by the speed, which is 50."""
    job = await fal.submit(files=[{"fault": "expires", "seconds": seconds} for seconds in (0, 3600)])
    videos = (await fal.completed(job)).json()["videos"]
    assert [(await fal.client.get(video["url"])).status_code for video in videos] == [404, 200]


async def test_unavailable_host_answers_503_as_often_as_wanted(fal: Emulated) -> None:
    file = await requested(fal, fault="unavailable", times=2)
    assert [(await file.get()).status_code for _ in range(3)] == [503, 503, 200]


@pytest.mark.parametrize(
    ("endpoint_id", "fault", "content_type", "begins"),
    [
        (VIDEO, "wrong_type", "video/mp4", b"\x89PNG"),
        (IMAGE, "wrong_type", "image/png", b"\0\0\0"),
        (IMAGE, "web_page", "text/html", b"<!doctype html>"),
        (IMAGE, "disguised_page", "image/png", b"<!doctype html>"),
    ],
)
async def test_file_is_another_than_it_says(
    fal: Emulated, endpoint_id: str, fault: str, content_type: str, begins: bytes
) -> None:
    response = await (await requested(fal, endpoint_id, fault=fault)).get()
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)
    assert response.content.startswith(begins)
    assert len(response.content) == SIZE


async def test_file_without_a_length_is_whole(fal: Emulated) -> None:
    file = await requested(fal, fault="no_length")
    response = await file.get()
    assert "content-length" not in response.headers
    assert hash_of(response.content) == file.sha256


async def test_length_that_is_too_long_is_never_reached(fal: Emulated) -> None:
    file = await requested(fal, fault="length_too_long")
    headers, got = await file.until_broken()
    assert headers["content-length"] == str(SIZE + LIE_BYTES)
    assert hash_of(got) == file.sha256


async def test_more_is_sent_than_a_length_that_is_too_short(fal: Emulated) -> None:
    file = await requested(fal, fault="length_too_short")
    url = httpx.URL(file.url)
    async with asyncio.timeout(60), connected(int(url.port or 0)) as (reader, writer):
        writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % url.raw_path)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    assert f"content-length: {SIZE - LIE_BYTES}\r\n".encode() in head.lower()
    assert hash_of(body) == file.sha256


async def test_faults_that_break_http_need_hookcasts_server() -> None:
    """Another ASGI server cannot break off; it says so instead of serving the file whole."""
    app = create_emulator(speed=FAST)
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://fal") as client,
        app.router.lifespan_context(app),
    ):
        key = {"Authorization": "Key a"}
        body = {"_emulator": {"files": [{"fault": "cut"}]}}
        job = (await client.post("/fal-ai/veo3", json=body, headers=key)).json()
        response = await client.get(f"/media/{job['request_id']}/0/output.mp4")
    assert response.status_code == 501

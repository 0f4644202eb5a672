"""The host of the requested files, over HTTP: honest files, and each fault."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest

from hookcast.emulator import create_emulator, file_content
from hookcast.emulator.content import MEDIA_FOLDER, Content
from hookcast.emulator.hosting import LIE_BYTES
from integration.emulator.playing import IMAGE, VIDEO, Emulated, emulated

pytestmark = pytest.mark.anyio

SIZE = 1_000_000
BIG = 100_000_000
FAST = 1000.0


@dataclass(frozen=True)
class File:
    """A requested file as the result tells it, its right bytes, and the client to fetch it with."""

    url: str
    content: Content
    client: httpx.AsyncClient

    @property
    def sha256(self) -> str:
        """The right hash."""
        return self.content.sha256()

    async def get(self, **headers: str) -> httpx.Response:
        """Fetch it without following redirects."""
        return await self.client.get(self.url, headers=headers)

    async def until_broken(self) -> tuple[httpx.Headers, bytes]:
        """The headers, and the bytes until the host breaks off."""
        got = bytearray()
        async with self.client.stream("GET", self.url) as response:
            with pytest.raises(httpx.RemoteProtocolError):
                await _read(response.aiter_raw(), got)
        return response.headers, bytes(got)


async def _read(pieces: AsyncIterator[bytes], into: bytearray) -> None:
    async for piece in pieces:
        into += piece


async def _file(fal: Emulated, endpoint_id: str = VIDEO, **wish: object) -> File:
    job = await fal.submit(endpoint_id, speed=FAST, files=[{"bytes": SIZE, **wish}])
    result = (await fal.completed(job)).json()
    [file] = result["images"] if "images" in result else [result["video"]]
    content = file_content(job.request_id, 0, content_type=file["content_type"], size=file["file_size"])
    return File(file["url"], content, fal.client)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_file_comes_as_the_result_tells_it(fal: Emulated) -> None:
    file = await _file(fal)
    response = await file.get()
    assert response.status_code == 200
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["access-control-allow-origin"] == "*"
    assert _hash(response.content) == file.sha256


async def test_files_need_no_key(fal: Emulated) -> None:
    file = await _file(fal)
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(file.url)).status_code == 200


async def test_big_file_is_sent_while_others_are_served(fal: Emulated) -> None:
    """Another request is answered long before the end of the file."""
    file = await _file(fal, bytes=BIG)
    digest, got, got_before = hashlib.sha256(), 0, 0
    async with fal.client.stream("GET", file.url) as response:
        async for piece in response.aiter_raw():
            digest.update(piece)
            got += len(piece)
            if not got_before:
                await fal.client.get("/.well-known/jwks.json")
                got_before = got
    assert got_before < got == BIG
    assert digest.hexdigest() == file.sha256


async def test_file_that_nobody_reads_is_not_generated(fal: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host generates what its client's and its own buffers hold, and no more."""
    generated = 0
    pieces = Content.pieces

    def counted(content: Content, start: int, stop: int) -> Iterator[memoryview]:
        nonlocal generated
        for piece in pieces(content, start, stop):
            generated += len(piece)
            yield piece

    monkeypatch.setattr(Content, "pieces", counted)
    file = await _file(fal, bytes=10**12)
    async with fal.client.stream("GET", file.url):
        before = -1
        while generated > before:
            before = generated
            for _ in range(20):
                await fal.client.get("/.well-known/jwks.json")
    assert 0 < generated < BIG


async def test_head_tells_the_headers_alone(fal: Emulated) -> None:
    file = await _file(fal, bytes=10**12)
    response = await fal.client.head(file.url)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "1000000000000"


async def test_part_is_206(fal: Emulated) -> None:
    file = await _file(fal)
    whole = await file.get()
    part = await file.get(Range="bytes=300000-699999")
    assert (part.status_code, part.content) == (206, whole.content[300_000:700_000])
    assert part.headers["content-range"] == f"bytes 300000-699999/{SIZE}"
    assert part.headers["content-length"] == "400000"
    assert (await file.get(Range="bytes=1000000-")).status_code == 416


async def test_part_of_another_file_is_the_whole_one(fal: Emulated) -> None:
    """`If-Range` with the file's own tag gets the part."""
    file = await _file(fal)
    etag = (await file.get(Range="bytes=0-0")).headers["etag"]
    assert (await file.get(**{"Range": "bytes=0-9", "If-Range": etag})).status_code == 206
    assert (await file.get(**{"Range": "bytes=0-9", "If-Range": '"other"'})).status_code == 200


async def test_every_file_of_a_result_has_its_own_bytes(fal: Emulated) -> None:
    job = await fal.submit(IMAGE, speed=FAST, files=[{"bytes": 300_000}, {"bytes": 300_000}, {}])
    images = (await fal.completed(job)).json()["images"]
    found = [(await fal.client.get(image["url"])).content for image in images]
    assert len(set(found)) == 3
    assert all(content.startswith(b"\x89PNG") for content in found)
    assert found[2] == (MEDIA_FOLDER / "image.png").read_bytes()


async def test_data_uri_arrives_with_the_webhook_and_the_result(fal: Emulated) -> None:
    job = await fal.submit(IMAGE, speed=FAST, files=[{"data_uri": True, "bytes": 4_500_000}])
    [image] = (await fal.completed(job)).json()["images"]
    assert image["url"].startswith("data:image/png;base64,iVBOR")
    assert len(image["url"]) > 6_000_000


async def test_slow_file_has_the_wanted_rate() -> None:
    """The pauses between its pieces add up to its size by its rate."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with emulated(sleep) as fal:
        file = await _file(fal, bytes_per_second=50_000)
        assert _hash((await file.get()).content) == file.sha256
    assert sum(pauses) == pytest.approx(20)
    assert max(pauses) <= 0.1


async def test_cut_file_ends_in_the_middle_each_time(fal: Emulated) -> None:
    file = await _file(fal, fault="cut")
    for _ in range(2):
        headers, got = await file.until_broken()
        assert (headers["content-length"], len(got)) == (str(SIZE), SIZE // 2)


async def test_file_that_is_cut_once_is_whole_afterwards(fal: Emulated) -> None:
    """From where it was cut as well as from its beginning."""
    file = await _file(fal, fault="cut", times=1, at=123_456)
    _, beginning = await file.until_broken()
    rest = await file.get(Range=f"bytes={len(beginning)}-")
    assert len(beginning) == 123_456
    assert _hash(beginning + rest.content) == file.sha256
    assert _hash((await file.get()).content) == file.sha256


async def test_head_of_a_file_that_is_cut_once_does_not_count(fal: Emulated) -> None:
    file = await _file(fal, fault="cut", times=1)
    await fal.client.head(file.url)
    await file.until_broken()


async def test_stalled_file_falls_silent_and_stays_open(fal: Emulated) -> None:
    file, got = await _file(fal, fault="stall"), bytearray()
    async with fal.client.stream("GET", file.url) as response:
        pieces = response.aiter_raw()
        while len(got) < SIZE // 2:
            got += await anext(pieces)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(pieces), 0.2)


async def test_shutdown_does_not_wait_for_a_stalled_file() -> None:
    async with httpx.AsyncClient(timeout=60) as client, AsyncExitStack() as running:
        file = await _file(await running.enter_async_context(emulated()), fault="stall")
        async with client.stream("GET", file.url) as response:
            pieces = response.aiter_raw()
            await anext(pieces)
            await running.aclose()
            with pytest.raises(httpx.TransportError):
                await _read(pieces, bytearray())


async def test_redirect_leads_to_the_file(fal: Emulated) -> None:
    file = await _file(fal, fault="redirect")
    response = await fal.client.get(file.url, follow_redirects=True)
    assert [step.status_code for step in response.history] == [302]
    assert _hash(response.content) == file.sha256


async def test_redirect_may_lead_elsewhere(fal: Emulated) -> None:
    file = await _file(fal, fault="redirect", url="http://169.254.169.254/latest")
    response = await file.get()
    assert (response.status_code, response.headers["location"]) == (302, "http://169.254.169.254/latest")


async def test_redirect_loop_has_no_end(fal: Emulated) -> None:
    file = await _file(fal, fault="redirect_loop")
    with pytest.raises(httpx.TooManyRedirects):
        await fal.client.get(file.url, follow_redirects=True)


async def test_file_expires_some_time_after_its_job(fal: Emulated) -> None:
    """The seconds are divided by the speed, which is 50."""
    job = await fal.submit(files=[{"fault": "expires", "seconds": seconds} for seconds in (0, 3600)])
    videos = (await fal.completed(job)).json()["videos"]
    assert [(await fal.client.get(video["url"])).status_code for video in videos] == [404, 200]


async def test_unavailable_host_answers_503_as_often_as_wanted(fal: Emulated) -> None:
    file = await _file(fal, fault="unavailable", times=2)
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
    response = await (await _file(fal, endpoint_id, fault=fault)).get()
    assert (response.status_code, response.headers["content-type"]) == (200, content_type)
    assert response.content.startswith(begins)
    assert len(response.content) == SIZE


async def test_file_without_a_length_is_whole(fal: Emulated) -> None:
    file = await _file(fal, fault="no_length")
    response = await file.get()
    assert "content-length" not in response.headers
    assert _hash(response.content) == file.sha256


async def test_length_that_is_too_long_is_never_reached(fal: Emulated) -> None:
    file = await _file(fal, fault="length_too_long")
    headers, got = await file.until_broken()
    assert headers["content-length"] == str(SIZE + LIE_BYTES)
    assert _hash(got) == file.sha256


async def test_more_is_sent_than_a_length_that_is_too_short(fal: Emulated) -> None:
    file = await _file(fal, fault="length_too_short")
    url = httpx.URL(file.url)
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % url.raw_path)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
        writer.close()
    assert f"content-length: {SIZE - LIE_BYTES}\r\n".encode() in head.lower()
    assert _hash(body) == file.sha256


@pytest.mark.parametrize("path", ["0/1/output.mp4", "{id}/1/output.mp4", "{id}/-1/output.mp4"])
async def test_there_are_no_other_files(fal: Emulated, path: str) -> None:
    job = await fal.submit(speed=FAST, files=[{}])
    response = await fal.client.get("/media/" + path.format(id=job.request_id))
    assert response.status_code in {404, 405}


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

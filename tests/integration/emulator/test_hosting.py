"""The host of the requested files, over HTTP: honest files."""

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from hookcast.emulator.content import MEDIA_FOLDER, Content
from integration.emulator.playing import IMAGE, Emulated
from integration.emulator.requested import FAST, SIZE, hash_of, requested

pytestmark = pytest.mark.anyio
BIG = 100_000_000


async def test_file_comes_as_the_result_tells_it(fal: Emulated) -> None:
    file = await requested(fal)
    response = await file.get()
    assert response.status_code == 200
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["access-control-allow-origin"] == "*"
    assert hash_of(response.content) == file.sha256


async def test_files_need_no_key(fal: Emulated) -> None:
    file = await requested(fal)
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(file.url)).status_code == 200


async def test_big_file_is_sent_while_others_are_served(fal: Emulated) -> None:
    """Another request is answered long before the end of the file."""
    file = await requested(fal, bytes=BIG)
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
    file = await requested(fal, bytes=10**12)
    async with fal.client.stream("GET", file.url):
        before = -1
        while generated > before:
            before = generated
            for _ in range(20):
                await fal.client.get("/.well-known/jwks.json")
    assert 0 < generated < BIG


async def test_head_tells_the_headers_alone(fal: Emulated) -> None:
    file = await requested(fal, bytes=10**12)
    response = await fal.client.head(file.url)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "1000000000000"


async def test_part_is_206(fal: Emulated) -> None:
    file = await requested(fal)
    whole = await file.get()
    part = await file.get(Range="bytes=300000-699999")
    assert (part.status_code, part.content) == (206, whole.content[300_000:700_000])
    assert part.headers["content-range"] == f"bytes 300000-699999/{SIZE}"
    assert part.headers["content-length"] == "400000"
    assert (await file.get(Range="bytes=1000000-")).status_code == 416


async def test_part_of_another_file_is_the_whole_one(fal: Emulated) -> None:
    """`If-Range` with the file's own tag gets the part."""
    file = await requested(fal)
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


@pytest.mark.parametrize("path", ["0/1/output.mp4", "{id}/1/output.mp4", "{id}/-1/output.mp4"])
async def test_there_are_no_other_files(fal: Emulated, path: str) -> None:
    job = await fal.submit(speed=FAST, files=[{}])
    response = await fal.client.get("/media/" + path.format(id=job.request_id))
    assert response.status_code in {404, 405}

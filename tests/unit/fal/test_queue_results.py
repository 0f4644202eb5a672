"""What the queue client takes over of a result, and of what is none."""

import gzip
from contextlib import nullcontext

import httpx
import pytest
from msgspec import Raw

from hookcast.errors import FalRejected, FalUnreachable, UnusableResult
from hookcast.fal.calls import Call, TooLarge
from hookcast.fal.queue import FalQueue
from support.fal import QUEUE
from support.queue import Endless, Harness, job

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png", "image/png, 48 bytes"),
        (b"<html><script>alert(1)</script>", "text/html; charset=utf-8", "text/html, 31 bytes"),
        (b'{"a": ', "application/json", "application/json, 6 bytes"),
        (b'{"a": "\xff"}', None, "a body without a content type, 10 bytes"),
        (b"", "image/png", "an empty body"),
        (b"[" * 201 + b"]" * 201, "application/json", "application/json, 402 bytes"),
    ],
)
async def test_a_result_that_is_no_json_is_described(content: bytes, kind: str | None, said: str) -> None:
    """By content type and size, never by its bytes."""
    headers = {} if kind is None else {"content-type": kind}
    with pytest.raises(UnusableResult) as caught:
        await Harness().ask(Call.RESULT, httpx.Response(200, content=content, headers=headers))
    assert str(caught.value) == f"The result is not JSON: fal delivered {said}."


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_result_that_cannot_be_unpacked_is_unusable(coding: str) -> None:
    """The connection is whole, and the next answer is likely to be the same."""
    with pytest.raises(UnusableResult, match="cannot be decoded as its Content-Encoding says"):
        await ask_for_result(httpx.Response, 200, coding)


async def test_a_refusal_that_cannot_be_unpacked_counts_by_its_status() -> None:
    with pytest.raises(FalRejected, match="fal answered 422 with an empty body") as caught:
        await ask_for_result(httpx.Response, 422, "gzip")
    assert caught.value.fal_status == 422


async def ask_for_result(answer: type[httpx.Response], code: int, coding: str) -> Raw:
    """Ask for a result whose body is not coded as it says."""
    headers = {"content-encoding": coding}
    transport = httpx.MockTransport(lambda _: answer(code, headers=headers, stream=httpx.ByteStream(b"not so")))
    async with httpx.AsyncClient(transport=transport) as client:
        return await FalQueue(client, QUEUE, "key").result(job())


async def test_a_result_that_is_accepted_is_not_there_yet() -> None:
    """202 is fal's answer while a request is in progress."""
    with pytest.raises(FalUnreachable, match="202"):
        await Harness().ask(Call.RESULT, httpx.Response(202, json={"status": "IN_PROGRESS"}))


async def test_a_byte_order_mark_is_no_part_of_a_result() -> None:
    answer = httpx.Response(200, content=b'\xef\xbb\xbf{"a": 1}')
    assert await Harness().ask(Call.RESULT, answer) == Raw(b'{"a": 1}')


@pytest.mark.parametrize("headers", [{}, {"content-length": "200000000"}])
async def test_a_result_is_read_up_to_the_limit(headers: dict[str, str]) -> None:
    """Not at all when it declares to be larger."""
    body = Endless()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=body))
    async with httpx.AsyncClient(transport=transport) as client:
        queue = FalQueue(client, QUEUE, "key", max_result_bytes=5000)
        with pytest.raises(UnusableResult, match=r"too large: (200,000,000 bytes of at most|more than) 5,000 bytes"):
            await queue.result(job())
    assert body.read <= (0 if headers else 6000)


@pytest.mark.parametrize("code", [200, 422])
async def test_an_answer_may_be_left_for_when_there_is_memory(code: int) -> None:
    """Also one that tells an error: it may quote the whole input."""
    answer = httpx.Response(code, json={"detail": "x" * 2000})
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
        queue = FalQueue(client, QUEUE, "key")
        with pytest.raises(TooLarge):
            await queue.result(job(), most=1000)
        with pytest.raises(FalRejected, match="xxx") if code == 422 else nullcontext():
            assert await queue.result(job(), most=10_000) == Raw(answer.content)


async def test_a_packed_result_that_is_too_large_is_not_told_by_its_packed_size() -> None:
    packed = gzip.compress(b'"' + b"x" * 10_000 + b'"')
    headers = {"content-encoding": "gzip", "content-length": str(len(packed))}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed)))
    async with httpx.AsyncClient(transport=transport) as client:
        queue = FalQueue(client, QUEUE, "key", max_result_bytes=5000)
        with pytest.raises(UnusableResult, match="too large: more than 5,000 bytes"):
            await queue.result(job())

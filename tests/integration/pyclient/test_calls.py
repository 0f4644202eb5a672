"""The client's single calls: what is sent, what is tried again, and which errors come out."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from hookcast.client import (
    AccessRefused,
    ClientError,
    Hookcast,
    NotFound,
    Refused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from support.connections import listening
from support.fakes import Sleeper
from support.fal import ENDPOINT
from support.server import Node, until
from support.stand import Answer, Meddling, plain, problem, standing, state

pytestmark = pytest.mark.anyio


def taking(node: Node) -> None:
    """Let fal take every request under another name."""
    node.fal.script(f"/{ENDPOINT}", *(httpx.Response(200, json={"request_id": f"job-{n}"}) for n in range(1, 5)))
    node.fal.script("/cancel", httpx.Response(200, json={"status": "OK"}))


async def test_submit_get_and_cancel_say_what_the_server_says(node: Node) -> None:
    """Every fact arrives; the states are typed."""
    taking(node)
    async with Hookcast(node.url) as client:
        facts: dict[str, Any] = {"owner": "o", "group": "g", "metadata": {"n": 2**60}, "options": {"priority": "low"}}
        taken = await client.submit(ENDPOINT, {"prompt": "a cat"}, **facts)
        assert (taken.request_id, taken.token, taken.job.group, taken.job.metadata) == (
            "job-1",
            None,
            "g",
            {"n": 2**60},
        )
        assert node.fal.requests[-1].headers["x-fal-queue-priority"] == "low"
        job = await client.get("job-1")
        assert (job, job.endpoint_id, job.ended) == (taken.job, ENDPOINT, False)
        assert (await client.cancel("job-1")).status == "cancelled"
        with pytest.raises(Refused) as refused:
            await client.cancel("job-1")
        assert (refused.value.status, refused.value.code) == (409, "already_terminal")


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_submit_that_is_repeated_submits_once(node: Node, lost: str) -> None:
    """Also when only its answer was lost; two calls are two jobs, unless they have the same key."""
    taking(node)
    real, failures = httpx.AsyncHTTPTransport(), [1]

    class Losing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            fails = failures and failures.pop()
            answer = None if fails and lost == "request" else await real.handle_async_request(request)
            if fails:
                raise httpx.ReadError("cut")
            assert answer is not None
            return answer

    async with Hookcast(node.url, transport=Losing(), sleep=Sleeper(free=True)) as client:
        assert (await client.submit(ENDPOINT, {})).request_id == "job-1"
        same = [(await client.submit(ENDPOINT, {}, idempotency_key="k")).request_id for _ in range(2)]
        assert same == ["job-2", "job-2"]
        assert (await client.submit(ENDPOINT, {})).request_id == "job-3"
    await real.aclose()


async def test_who_submits_once_more_does_so_once(node: Node) -> None:
    """A lost answer is then not asked for again, since each attempt would be a new submit."""
    node.fal.script(ENDPOINT, httpx.ReadError("cut"), httpx.Response(200, json={"request_id": "job-1"}))
    asked: list[str | None] = []

    def meddle(request: httpx.Request) -> httpx.ReadError:
        asked.append(request.headers.get("Idempotency-Retry"))
        return httpx.ReadError("cut")

    async with Hookcast(node.url) as client:
        with pytest.raises(Refused) as lost:
            await client.submit(ENDPOINT, {}, idempotency_key="k")
        with pytest.raises(Refused) as dark:
            await client.submit(ENDPOINT, {}, idempotency_key="k")
        assert (lost.value.code, dark.value.code) == ("fal_unreachable", "submit_outcome_unknown")
        assert (await client.submit(ENDPOINT, {}, idempotency_key="k", retry=True)).request_id == "job-1"
    async with Hookcast(node.url, transport=Meddling(meddle), sleep=Sleeper(free=True)) as client:
        with pytest.raises(Unreachable):
            await client.submit(ENDPOINT, {}, idempotency_key="k", retry=True)
    assert asked == ["yes"]


async def test_a_cancel_whose_answer_was_lost_is_not_repeated(node: Node) -> None:
    """The second one would be told that the job has ended, which is no error."""
    asked = []

    def meddle(request: httpx.Request) -> httpx.ReadError:
        asked.append(request)
        return httpx.ReadError("cut")

    async with Hookcast(node.url, transport=Meddling(meddle), sleep=Sleeper(free=True)) as client:
        with pytest.raises(Unreachable, match="broke"):
            await client.cancel("job-1")
    assert len(asked) == 1


async def test_a_server_that_is_away_for_a_moment_is_asked_again_when_it_says() -> None:
    """Retry-After, then success; a proxy's 502 counts as well."""
    sleeper = Sleeper(free=True)
    busy = problem(503, "store_unavailable", **{"Retry-After": "2"})
    async with standing(busy, plain(502), state(1)) as stand, Hookcast(stand.url, sleep=sleeper) as client:
        assert (await client.get("job-1")).version == 1
    assert sleeper.pauses[0] == 2.0
    assert len(sleeper.pauses) == 2


@pytest.mark.parametrize(
    "call", [lambda client: client.remove("job-1"), lambda client: client.list()], ids=["remove", "list"]
)
@pytest.mark.parametrize("body", [b"<h1>Log in</h1>", b'{"jobs": [], "url": "/"}'], ids=["login", "API"])
async def test_another_server_s_success_is_none(call: Callable[[Hookcast], Any], body: bytes) -> None:
    """Of a login, or another API: nothing was removed, and there may be jobs."""
    answer: Answer = lambda _request: Response(body)  # noqa: E731 - typed
    async with standing(answer) as stand, Hookcast(stand.url) as client:
        with pytest.raises(UnexpectedAnswer) as refused:
            await call(client)
        assert refused.value.code == "not_hookcast"


ANSWERS: dict[str, tuple[Answer, type[ClientError], tuple[int, str]]] = {
    "unknown": (problem(404, "job_not_found"), NotFound, (404, "job_not_found")),
    "no token": (problem(401, "unauthorized"), AccessRefused, (401, "unauthorized")),
    "not allowed": (problem(403, "forbidden"), AccessRefused, (403, "forbidden")),
    "fal's error": (problem(502, "fal_rejected"), Refused, (502, "fal_rejected")),
    "wrong": (problem(422, "invalid_request"), Refused, (422, "invalid_request")),
    "busy": (problem(503, "draining"), Unavailable, (503, "draining")),
    "away": (plain(504), Unavailable, (504, "unavailable")),
    "a firewall": (plain(403), AccessRefused, (403, "not_hookcast")),
    "a login": (plain(401), AccessRefused, (401, "not_hookcast")),
    "a stranger": (plain(404), UnexpectedAnswer, (404, "not_hookcast")),
    "a page": (plain(200), UnexpectedAnswer, (0, "not_hookcast")),
}


@pytest.mark.parametrize(("answer", "kind", "facts"), ANSWERS.values(), ids=ANSWERS)
async def test_every_answer_that_is_no_success_has_its_error(
    answer: Answer, kind: type[ClientError], facts: tuple[int, str]
) -> None:
    """With the problem's status, code and detail."""
    async with standing(answer) as stand, Hookcast(stand.url, sleep=Sleeper(free=True)) as client:
        with pytest.raises(ClientError) as caught:
            await client.get("job-1")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == facts
    assert caught.value.detail
    assert "\n" not in str(caught.value)


async def test_answers_that_are_refused_leave_no_connection_behind() -> None:
    """Their bodies are not read."""
    async with standing(plain(404)) as stand, Hookcast(stand.url) as client:
        before = _open_files()
        for _ in range(20):
            with pytest.raises(UnexpectedAnswer):
                await client.get("job-1")
        await until(lambda: _open_files() <= before + 2)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever() -> None:
    """`timeout` bounds the call, all attempts together."""

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(hang) as port, Hookcast(f"http://127.0.0.1:{port}", timeout=0.2) as client:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.2 s|silent"):
            await client.get("job-1")


@pytest.mark.parametrize("token", ["secret-0\r\nX: y", "secret-0 ", "", "sécret-0"], ids=["crlf", "space", "none", "é"])
async def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: str) -> None:
    """As a string, and from a function."""

    async def ask() -> str:
        return token

    with pytest.raises(AccessRefused, match="visible ASCII") as refused:
        Hookcast("http://127.0.0.1:1", token=token)
    async with Hookcast("http://127.0.0.1:1", token=ask) as client:
        with pytest.raises(AccessRefused, match="visible ASCII") as again:
            await client.get("job-1")
    assert "cret-0" not in f"{refused.value!r}{again.value!r}"


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "http://x?y=z"])
def test_an_address_that_is_none_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Hookcast(url)


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_a_url_could_not_keep_is_refused(node: Node, name: str) -> None:
    """It would be another path."""
    async with Hookcast(node.url) as client:
        for call in (client.get, client.cancel, client.wait):
            with pytest.raises(Refused) as refused:
                await _called(call, name)
            assert refused.value.code == "invalid_path"


async def _called(call: Callable[[str], Any], name: str) -> None:
    await call(name)


@pytest.mark.parametrize("name", ["a b?c=d#e", "ünï", "50%25"])
async def test_a_name_with_signs_of_its_own_finds_its_job(node: Node, name: str) -> None:
    await node.post_webhook(node.fal.webhook(name))
    async with Hookcast(node.url) as client:
        assert (await client.get(name)).request_id == name
        assert [job.request_id async for job in client.watch(name)] == [name]

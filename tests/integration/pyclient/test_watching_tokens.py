"""`Hookcast.watch` with tokens that end or are refused, and at addresses where no Hookcast answers."""

import asyncio

import httpx
import pytest

from hookcast.client import (
    AccessRefused,
    Notice,
    UnexpectedAnswer,
)
from integration.pyclient.watching import DONE, collect, complete, quick
from support.server import Node
from support.stand import Answer, Meddling, job, plain, problem, sse, standing

pytestmark = pytest.mark.anyio


class Keys:
    """Gives token-1, token-2 … and counts."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        """One more."""
        await asyncio.sleep(0)
        self.given += 1
        return f"token-{self.given}"


async def test_a_function_is_asked_for_a_new_token_when_the_old_one_is_refused_or_runs_out() -> None:
    """And the watch goes on with it."""
    open_ = asyncio.Event()
    expiring = sse(job(1), "event: token-expiring\ndata: {}\n\n", then=open_)
    async with standing(problem(401, "token_expired"), expiring, sse(DONE)) as stand:
        async with quick(stand.url, token=Keys()) as client:
            assert [seen.version for seen in await collect(client)] == [1, 4]
        open_.set()
        assert stand.tokens == ["Bearer token-1", "Bearer token-2", "Bearer token-3"]


async def test_watches_that_need_a_new_token_at_once_ask_for_it_once(node: Node) -> None:
    refused = 0

    def meddle(request: httpx.Request) -> httpx.Response | None:
        nonlocal refused
        if request.headers["authorization"] != "Bearer token-1":
            return None
        refused += 1
        return httpx.Response(401, json={})

    await node.register("job-1")
    await complete(node)
    keys = Keys()
    async with quick(node.url, token=keys, transport=Meddling(meddle)) as client:
        await client.get("job-1")
        assert (keys.given, refused) == (2, 1)
        keys.given = 0
    async with quick(node.url, token=keys, transport=Meddling(meddle)) as client:
        await asyncio.gather(*(client.wait("job-1") for _ in range(10)))
        assert (keys.given, refused) == (2, 11)


@pytest.mark.parametrize("code", ["unauthorized", "token_expired", "token_invalid"])
async def test_a_token_that_is_refused_for_good_ends_the_watch(code: str) -> None:
    """A string cannot be renewed, and of a function one new token is tried."""
    async with standing(problem(401, code)) as stand:
        for token, asked in (("t", 1), (Keys(), 2)):
            async with quick(stand.url, token=token) as client:
                with pytest.raises(AccessRefused, match=code) as refused:
                    await collect(client)
            assert (refused.value.status, refused.value.code, refused.value.detail) == (401, code, f"It is {code}.")
            assert len(stand.asked) == asked
            stand.asked.clear()


async def test_a_token_function_that_fails_for_a_while_is_asked_again() -> None:
    """The same outage may take both servers."""
    keys, failures = Keys(), [OSError("no way there"), httpx.ConnectError("nor there"), TimeoutError()]

    async def token() -> str:
        if failures:
            raise failures.pop()
        return await keys()

    async with standing(sse(DONE)) as stand, quick(stand.url, token=token) as client:
        assert len(await collect(client)) == 1


def answered(status: int) -> httpx.HTTPStatusError:
    """Return what `raise_for_status` raises."""
    request = httpx.Request("POST", "https://backend.example/token?key=secret")
    return httpx.HTTPStatusError(f"{request.url}", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_token_function_whose_server_is_busy_or_fails_is_asked_again(status: int) -> None:
    """The notice does not show the address, which may contain a secret."""
    keys, failures, notices = Keys(), [answered(status)], list[Notice]()

    async def token() -> str:
        if failures:
            raise failures.pop()
        return await keys()

    async with standing(sse(DONE)) as stand, quick(stand.url, token=token) as client:
        assert len(await collect(client, notify=notices.append)) == 1
    assert notices[0].trouble == f"Could not get a new token: the response was {status}."


async def test_a_token_function_that_is_refused_ends_the_watch() -> None:
    """With its own error: the same request would be refused again."""

    async def token() -> str:
        raise answered(403)

    async with standing(sse(DONE)) as stand, quick(stand.url, token=token) as client:
        with pytest.raises(httpx.HTTPStatusError):
            await collect(client)
    assert stand.asked == []


STRANGERS = {"404": plain(404), "moved": plain(302, location="https://elsewhere.example/"), "403": plain(403)}


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
async def test_an_address_where_no_hookcast_answers_is_an_error_at_once(answer: Answer) -> None:
    """Nobody shall wait there for ever."""
    async with standing(answer) as stand, quick(stand.url) as client:
        with pytest.raises((UnexpectedAnswer, AccessRefused), match=stand.url):
            await collect(client)

"""The Python client among strangers: proxies' pages, odd names, tokens that run out at once, an odd environment."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hookcast.client import (
    ClientError,
    DeadlinePassed,
    Hookcast,
    Refused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from support.fakes import Sleeper
from support.fal import ENDPOINT

pytestmark = pytest.mark.anyio
PAGE = httpx.Response(200, html="<html>Back soon</html>")
URL = "http://hookcast.test"


def state(version: int, status: str = "pending") -> httpx.Response:
    """A job."""
    return httpx.Response(200, json={"requestId": "r", "status": status, "version": version})


class Answers:
    """What is answered, one after the other, the last one over and over."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        """The next one."""
        self.asked += 1
        answer = self._answers[min(self.asked, len(self._answers)) - 1]
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def client(*answers: httpx.Response, **options: Any) -> tuple[Hookcast, Answers]:
    """A client, and what it speaks with."""
    said = Answers(*answers)
    return Hookcast(URL, transport=httpx.MockTransport(said), **options), said


@pytest.mark.parametrize("body", [b"<html>hi</html>", b"", b'{"hello": 1}', b"[" * 5000])
async def test_a_watch_ends_where_no_hookcast_answers(body: bytes) -> None:
    """A wrong address is told, not waited for."""
    hookcast, _ = client(httpx.Response(200, content=body), sleep=Sleeper(free=True))
    async with hookcast:
        with pytest.raises(UnexpectedAnswer):
            await hookcast.wait("r")


async def test_a_proxys_page_while_polling_makes_pauses_grow() -> None:
    """It is no answer of Hookcast's, whatever its status."""
    sleep = Sleeper(free=True)
    hookcast, _ = client(PAGE, state(1), *[PAGE] * 28, state(2, "completed"), sleep=sleep, jitter=lambda: 1.0)
    async with hookcast:
        assert (await hookcast.wait("r")) is None
    assert min(sleep.pauses[-10:]) >= 3.0


async def test_a_proxys_403_within_a_watch_passes() -> None:
    """A firewall's page is no word of Hookcast's, which has answered before."""
    strange = httpx.Response(404, html="x"), state(1), httpx.Response(403, html="Are you human?")
    hookcast, _ = client(*strange, state(2, "completed"), sleep=Sleeper(free=True))
    async with hookcast:
        assert (await hookcast.wait("r")) is None


async def test_a_pause_that_is_longer_than_the_timeout_is_told_at_once() -> None:
    """With its own error: the server did answer."""
    headers = {"Content-Type": "application/problem+json", "Retry-After": "40"}
    busy = httpx.Response(429, headers=headers, content=b'{"code": "rate_limited"}')
    hookcast, said = client(busy)
    async with hookcast:
        with pytest.raises(Unavailable) as caught:
            await hookcast.submit(ENDPOINT, {})
    assert (caught.value.code, caught.value.retry_after, said.asked) == ("rate_limited", 40, 1)


async def test_a_cancel_is_not_repeated_after_504() -> None:
    """It may have been done."""
    hookcast, said = client(httpx.Response(504))
    async with hookcast:
        with pytest.raises(Unavailable):
            await hookcast.cancel("r")
    assert said.asked == 1


async def test_tokens_that_run_out_at_once_make_no_storm() -> None:
    """After the first one each pause is that of a connection that did not last."""
    job = f"id: 1\nevent: job\ndata: {state(1).text}\n\n"
    events = f"{job}event: token-expiring\ndata: {{}}\n\n"
    stream = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=events.encode())
    tokens = iter(range(10_000))

    async def token() -> str:
        return f"token-{next(tokens)}"

    sleep = Sleeper(free=True)
    hookcast, _ = client(stream, token=token, sleep=sleep)
    async with hookcast:
        with pytest.raises(DeadlinePassed):
            await hookcast.wait("r", timeout=0.2)
    assert min(sleep.pauses) > 1.0


Work = Callable[[Hookcast], Awaitable[object]]


@pytest.mark.parametrize(
    "work",
    [
        lambda hookcast: hookcast.get("\udcff"),
        lambda hookcast: hookcast.get("a" * 70_000),
        lambda hookcast: hookcast.submit("a/\udcff", {}),
        lambda hookcast: hookcast.submit(ENDPOINT, {}, idempotency_key="ключ"),
        lambda hookcast: hookcast.submit(ENDPOINT, {}, idempotency_key="a\nb"),
        lambda hookcast: hookcast.submit(ENDPOINT, {}, idempotency_key=""),
    ],
    ids=["job", "long job", "endpoint", "key", "key of lines", "empty key"],
)
async def test_what_no_request_can_carry_is_refused_before_it_is_sent(work: Work) -> None:
    """As an error of the client's own."""
    hookcast, said = client(state(1))
    async with hookcast:
        with pytest.raises(Refused):
            await work(hookcast)
    assert said.asked == 0


@pytest.mark.parametrize("url", ["http://h:abc", "http://ä..b", "http://user:secret@h", "ftp://h"])
async def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    """A name and password would be sent in place of the token, and shown in messages."""
    with pytest.raises(ValueError, match="url") as caught:
        Hookcast(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:1"), ("NO_PROXY", "fd00::/8"), ("SSL_CERT_FILE", "/nonexistent")],
)
async def test_an_environment_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """As an error of the client's own, which names what to look at."""
    monkeypatch.setenv(name, value)
    with pytest.raises(Unreachable, match=name) as caught:
        Hookcast(URL)
    assert (caught.value.code, isinstance(caught.value, ClientError)) == ("environment", True)

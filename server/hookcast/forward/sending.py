"""One POST to a receiver of webhooks, with a deadline; the receiver's answer decides whether there will be another."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import partial

import httptools
import httpx
from msgspec import Struct

from hookcast import __version__
from hookcast.forward.exchange import Connections, Reply
from hookcast.jobs import Clock
from hookcast.outgoing import http_client, is_proxied

DEADLINE_SECONDS = 15.0  # from the first byte to the last
MAX_RETRY_AFTER = 24 * 3600.0
USER_AGENT = f"Hookcast/{__version__}"
Post = Callable[[bytes, Mapping[str, str]], Awaitable[Reply]]
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class Verdict(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"  # 2xx
    GONE = "gone"  # 410: the receiver wants no more of it
    REFUSED = "refused"  # any other status; redirects are not followed
    UNREACHABLE = "unreachable"  # no connection, or it broke
    TIMEOUT = "timeout"


class Answer(Struct, frozen=True):
    """A receiver's answer, or why there was none.

    `after` is the least number of seconds until another attempt that the receiver has asked for (Retry-After).
    """

    verdict: Verdict
    status: int | None = None
    reason: str | None = None
    after: float | None = None

    @property
    def final(self) -> bool:
        """True when there is nothing left to send."""
        return self.verdict in {Verdict.DELIVERED, Verdict.GONE}

    def __str__(self) -> str:
        """Return the answer in a few words, for the log."""
        return self.reason or f"answered {self.status}"


class Sender:
    """Sends to one receiver. `url` may contain secrets, and is never shown."""

    def __init__(self, post: Post, clock: Clock) -> None:
        self._post = post
        self._clock = clock

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one request. Never raises for what a receiver or the network does."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                reply = await self._post(body, {**_OWN, **headers})
        except (TimeoutError, httpx.TimeoutException):
            return Answer(Verdict.TIMEOUT, reason=f"no answer within {DEADLINE_SECONDS:g} s")
        except (OSError, EOFError, ValueError, httptools.HttpParserError, httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(Verdict.UNREACHABLE, reason=f"{type(error).__name__}: {error}"[:200])
        return judged(reply.status, reply.retry_after, self._clock())


SendTo = Callable[[str], Sender]
"""Makes the sender for a URL."""


@contextmanager
def senders(clock: Clock) -> Iterator[SendTo]:
    """Yield what makes a sender for a URL, and close its connections at the end.

    Requests to a receiver that hangs delay no other ones: there is no limit of connections here.
    """
    with ExitStack() as stack:

        def send_to(url: str) -> Sender:
            if is_proxied(url):
                return Sender(partial(_through_proxy, url), clock)
            connections = Connections(url)
            stack.callback(connections.close)
            return Sender(connections.post, clock)

        yield send_to


async def _through_proxy(url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Send a request with a client of its own: httpx looks at all connections of a client for each request."""
    async with http_client(timeout=DEADLINE_SECONDS) as client:
        request = client.build_request("POST", url, content=body, headers=dict(headers))
        response = await client.send(request, stream=True, follow_redirects=False)
        await response.aclose()
        return Reply(response.status_code, response.headers.get("retry-after"))


def judged(status: int, retry_after: str | None, now: datetime) -> Answer:
    """Return the answer that a status means; pure."""
    if 200 <= status < 300:
        return Answer(Verdict.DELIVERED, status)
    if status == httpx.codes.GONE:
        return Answer(Verdict.GONE, status)
    return Answer(Verdict.REFUSED, status, after=None if retry_after is None else seconds_of(retry_after, now))


def seconds_of(retry_after: str, now: datetime) -> float | None:
    """Return the seconds that a Retry-After asks for, a number or a date (RFC 9110 section 10.2.3); None = neither.

    At most `MAX_RETRY_AFTER`, at least 0.
    """
    text = retry_after.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        until = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return min(max(math.ceil((until - now).total_seconds()), 0.0), MAX_RETRY_AFTER)
    except (ValueError, TypeError, OverflowError):
        return None


_OWN = {"User-Agent": USER_AGENT, "Accept": "*/*"}

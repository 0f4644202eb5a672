"""Random and mutated webhooks against a real server: a million with `make fuzz`."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from support.connections import connected
from support.fuzz import LONG, Fuzz, no_growth
from support.fuzzhooks import LAST, Shot, shot
from support.web import parse_head

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600 if LONG else 240)]
REQUESTS = 1_000_000 if LONG else 10_000
WARM_UP = REQUESTS // 10
BATCH = 50
SENDERS = 16
PATIENCE = 0.25  # for the answer to a request whose length is a lie
DEADLINE = 120.0
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


async def test_whatever_comes_as_a_webhook_is_answered_and_leaves_nothing_behind(fuzz: Fuzz) -> None:
    """No 5xx, nothing taken that nobody signed, no traceback, no growth of memory or open files."""
    numbers = iter(range(REQUESTS // BATCH))
    await _send(fuzz, numbers, WARM_UP)
    async with no_growth(fuzz):
        await _send(fuzz, numbers, REQUESTS)
    assert fuzz.seen.total() == REQUESTS


async def _send(fuzz: Fuzz, numbers: Iterator[int], total: int) -> None:
    """Go on until `total` requests have been sent since the beginning."""
    async with asyncio.TaskGroup() as senders:
        for _ in range(SENDERS):
            senders.create_task(_Sender(fuzz).run(numbers, total))


class _Sender:
    """Batches one after the other: the whole requests of one pipelined, each of the others alone."""

    def __init__(self, fuzz: Fuzz) -> None:
        self._fuzz = fuzz
        self._batch = 0

    async def run(self, numbers: Iterator[int], total: int) -> None:
        """Take batches as long as there are any before `total`."""
        while self._fuzz.under_way < total and (number := next(numbers, None)) is not None:
            self._fuzz.under_way += BATCH
            self._batch, random = number, self._fuzz.batch(number)
            shots = [shot(random, self._fuzz.key) for _ in range(BATCH)]
            async with asyncio.timeout(DEADLINE):
                await self._pipelined([found for found in shots if found.whole])
                for found in shots:
                    if not found.whole:
                        await self._alone(found)
            self._fuzz.progress(self._fuzz.seen.total(), REQUESTS)

    async def _pipelined(self, shots: list[Shot]) -> None:
        """Whoever gets no answer because the server closes after a request before it is sent again."""
        while shots:
            async with connected(self._fuzz.server.port) as (reader, writer):
                writer.write(b"".join(found.data for found in shots))
                answered = 0
                while answered < len(shots) and (head := await _head(reader)):
                    status, fields = parse_head(head)
                    body = await reader.readexactly(int(fields.get("content-length", "0")))
                    self._judge(shots[answered], status, head + body)
                    answered += 1
            assert answered, f"batch {self._batch}: no answer to {shots[0].data[:2000]!r}"
            shots = shots[answered:]

    async def _alone(self, found: Shot) -> None:
        async with connected(self._fuzz.server.port) as (reader, writer):
            writer.write(found.data + LAST)
            answer = await _rest(reader)
        statuses = [int(status) for status in _STATUS.findall(answer)]
        self._judge(found, max(statuses, default=0) if not statuses or max(statuses) >= 500 else statuses[0], answer)

    def _judge(self, found: Shot, status: int, answer: bytes) -> None:
        self._fuzz.seen[str(status or "no answer")] += 1
        if status not in found.wanted and (status or found.whole):
            self._fuzz.fault(self._batch, f"{status} instead of {min(found.wanted)}", found.data, answer)


async def _head(reader: asyncio.StreamReader) -> bytes:
    """The head of the next answer; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError, BrokenPipeError):
        return b""


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, or nothing more does."""
    answer = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while data := await reader.read(65536):
                answer += data
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    return bytes(answer)

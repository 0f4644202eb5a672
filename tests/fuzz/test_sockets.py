"""Mutated WebSocket conversations in random pieces against a real server: 200,000 with `make fuzz`."""

import asyncio
import socket
from collections.abc import Iterator
from random import Random

import pytest

from support.connections import connected
from support.fuzz import LONG, Fuzz, no_growth
from support.fuzzsockets import PONG, conversation, ping, wrong
from support.mutation import cuts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600 if LONG else 240)]
STREAMS = 200_000 if LONG else 2_000
WARM_UP = STREAMS // 10
BATCH = 10
CLIENTS = 24
PATIENCE = 0.25  # for the end of a message that was announced longer than it is
DEADLINE = 120.0


async def test_whatever_a_socket_says_is_answered_and_leaves_nothing_behind(fuzz: Fuzz) -> None:
    """Frames as RFC 6455 has them, documented messages and codes, no traceback, no growth."""
    numbers = iter(range(STREAMS // BATCH))
    await _talk(fuzz, numbers, WARM_UP)
    async with no_growth(fuzz):
        await _talk(fuzz, numbers, STREAMS)
    assert fuzz.seen.total() == STREAMS


async def _talk(fuzz: Fuzz, numbers: Iterator[int], total: int) -> None:
    """Go on until `total` conversations have been held since the beginning."""
    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(_client(fuzz, numbers, total))


async def _client(fuzz: Fuzz, numbers: Iterator[int], total: int) -> None:
    while fuzz.under_way < total and (number := next(numbers, None)) is not None:
        fuzz.under_way += BATCH
        random = fuzz.batch(number)
        for _ in range(BATCH):
            async with asyncio.timeout(DEADLINE):
                await _converse(fuzz, number, random)
        fuzz.progress(fuzz.seen.total(), STREAMS)


async def _converse(fuzz: Fuzz, number: int, random: Random) -> None:
    """Of ten, three speak before they hear the 101, two hang up without a word, the others wait for an answer."""
    upgrade, said = conversation(random)
    early, rude = random.random() < 0.3, random.random() < 0.2
    pieces = cuts(random, (upgrade if early else b"") + said + ping(random))
    async with connected(fuzz.server.port) as (reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer, ended = b"", False
        if not early:
            writer.write(upgrade)
            answer, ended = await _hear(reader, b"\r\n\r\n")
        for piece in pieces:
            if not (ended or writer.is_closing()):
                writer.write(piece)
                await asyncio.sleep(0)
        if not rude and not ended:
            more, ended = await _hear(reader, PONG)
            answer += more
    fuzz.seen[f"{answer[9:12].decode() or 'nothing'}{' and a close' if ended else ''}"] += 1
    fault = wrong(answer, cut=True)
    if fault is not None:
        fuzz.fault(number, fault, upgrade + said, answer)


async def _hear(reader: asyncio.StreamReader, mark: bytes) -> tuple[bytes, bool]:
    """What is said up to the mark, and whether it was the end."""
    heard = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while mark not in heard:
                data = await reader.read(65536)
                if not data:
                    return bytes(heard), True
                heard += data
    except TimeoutError:
        pass
    except (ConnectionResetError, BrokenPipeError):
        return bytes(heard), True
    return bytes(heard), False

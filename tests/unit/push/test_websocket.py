"""The life of a WebSocket: messages, subscriptions, readers that are behind."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from hookcast.push.direct import KERNEL_BYTES
from hookcast.push.socket import PARSED_BYTES
from support.push import (
    Time,
    client_frames,
    job,
    open_socket,
    running_engine,
    settle,
    state,
    ws_messages,
)

pytestmark = pytest.mark.anyio
PING = b"\x89\x80\0\0\0\0"


def subscribe(*jobs: str, groups: tuple[str, ...] = ()) -> dict[str, object]:
    """The message."""
    return {"type": "subscribe", "requestIds": jobs, "groups": groups}


def versions(said: list[Any]) -> list[int]:
    """Of the `job` messages."""
    return [message["job"]["version"] for message in said if isinstance(message, dict) and message["type"] == "job"]


async def test_a_subscription_is_confirmed_and_then_the_states_follow() -> None:
    """`subscribed` first, the known state, then what comes; after `unsubscribe` nothing more."""
    async with running_engine(job()) as (engine, _):
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(subscribe("job-1", "job-1", groups=("g",))))
        await settle()
        first, known = ws_messages(transport.take())
        assert first == {"type": "subscribed", "requestIds": ["job-1"], "groups": ["g"]}
        assert (known["type"], known["job"]["version"]) == ("job", 1)
        engine.hub.deliver(state(version=2, group="g"))
        engine.hub.deliver(state("job-2", 5, group="g"))
        assert versions(ws_messages(transport.take())) == [2, 5]
        socket.data_received(client_frames({"type": "unsubscribe", "requestIds": ["job-1", "x"], "groups": ["g"]}))
        await settle()
        engine.hub.deliver(state(version=3, group="g"))
        assert not transport.take()
        assert len(engine.hub) == 0


@pytest.mark.parametrize("size", [1, 7, 5000])
async def test_messages_are_worked_off_in_order_however_they_arrive(size: int) -> None:
    """Byte by byte or many in one read; the connection is read on afterwards."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        stream = client_frames(*(subscribe(f"job-{number}") for number in range(100)))
        for start in range(0, len(stream), size):
            socket.data_received(stream[start : start + size])
        for _ in range(20):
            await settle()
        confirmed = [message["requestIds"] for message in ws_messages(transport.take())]
        assert confirmed == [[f"job-{number}"] for number in range(100)]
        assert transport.is_reading()


async def test_a_flood_of_tiny_frames_is_parsed_in_small_portions() -> None:
    """Others get their turn; nothing more is read meanwhile, and every ping is answered."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        count = 10 * PARSED_BYTES // len(PING)
        socket.data_received(PING * count)
        assert not transport.is_reading()
        pongs = [len(transport.sent) // 2]
        while not transport.is_reading():
            await asyncio.sleep(0)
            pongs.append(len(transport.sent) // 2)
        assert pongs[-1] == count
        assert max(after - before for before, after in pairwise(pongs)) <= PARSED_BYTES


async def test_many_messages_of_one_client_do_not_take_every_turn() -> None:
    """Between two of them the loop goes round."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(*[{"type": "unsubscribe"}] * 50, subscribe("job-1")))
        turns = 0
        while not transport.sent:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 50


async def test_nothing_is_read_while_a_message_is_worked_off() -> None:
    """A client cannot pile them up behind a slow store."""
    async with running_engine() as (engine, store):
        store.hold = True
        socket, transport = open_socket(engine)
        for name in ("job-1", "job-2"):
            socket.data_received(client_frames(subscribe(name)))
            await settle()
        assert not transport.is_reading()
        for _ in range(2):
            store.let_go()
            await settle()
        assert transport.is_reading()
        assert [message["requestIds"] for message in ws_messages(transport.take())] == [["job-1"], ["job-2"]]


@pytest.mark.parametrize(
    ("message", "code", "error"),
    [
        ({"type": "hello"}, (4503, "bad message"), "bad_message"),
        ({"type": "subscribe", "requestIds": [7]}, (4503, "bad message"), "bad_message"),
        ({"type": "subscribe", "requestIds": [""]}, (4503, "bad message"), "bad_message"),
        ({"type": "subscribe", "requestIds": ["a/../b"]}, (4503, "bad message"), "bad_message"),
        ({"type": "subscribe", "more": 1}, (4503, "bad message"), "bad_message"),
        (subscribe(*(f"job-{number}" for number in range(201))), (4504, "too many"), "too_many"),
        ({"type": "unsubscribe", "groups": ["g"] * 201}, (4504, "too many"), "too_many"),
        (subscribe(groups=("a\0b",)), (4503, "bad message"), "bad_message"),
    ],
)
async def test_a_wrong_message_is_answered_and_closes(message: object, code: tuple[int, str], error: str) -> None:
    """What was wrong, then the close code that says not to come back with it; nothing was subscribed."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(message, subscribe("job-1")))
        await settle()
        told, close = ws_messages(transport.take())
        assert (told["type"], told["code"], close) == ("error", error, code)
        assert told["message"]
        assert len(engine.hub) == 0
        socket.data_received(client_frames(close=code[0]))
        assert transport.is_closing()


async def test_200_names_a_message_and_1000_a_connection_are_taken() -> None:
    """The same names again take no more room."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        for part in (0, 1, 2, 3, 4, 0, 1, 4):
            socket.data_received(client_frames(subscribe(*(f"job-{part}-{number}" for number in range(200)))))
            await settle()
        assert [message["type"] for message in ws_messages(transport.take())] == ["subscribed"] * 8
        socket.data_received(client_frames(subscribe("one-more")))
        await settle()
        assert ws_messages(transport.take())[-1] == (4504, "too many")


async def test_a_reader_that_is_behind_is_not_listened_to() -> None:
    """Answers to what it asks would pile up; it is heard again, and gets the newest states, once it reads."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine, stuck=True)
        socket.data_received(client_frames(subscribe("job-1")))
        await settle()
        engine.hub.deliver(state(version=1, pad=2 * KERNEL_BYTES))
        for version in range(2, 100):
            engine.hub.deliver(state(version=version))
        assert not transport.is_reading()
        transport.read()
        await settle()
        assert versions(ws_messages(transport.take())) == [1, 99]
        assert transport.is_reading()


async def test_a_page_may_subscribe_to_its_jobs_one_by_one() -> None:
    """A thousand messages at once, and as many again after ten seconds, to let go of them."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        socket, transport = open_socket(engine)
        for kind in ("subscribe", "unsubscribe"):
            for number in range(1000):
                await socket.receive(json.dumps({"type": kind, "requestIds": [f"job-{number}"]}))
        assert {message["type"] for message in ws_messages(transport.take())} == {"subscribed"}
        assert not transport.is_closing()


async def test_a_store_that_is_away_sends_the_client_to_come_back_later() -> None:
    """`reconnect` and 1012; nothing stays subscribed."""
    async with running_engine() as (engine, store):
        store.down = True
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(subscribe("job-1")))
        await settle()
        assert ws_messages(transport.take())[-1] == (1012, "restart")
        assert len(engine.hub) == 0


async def test_states_to_begin_with_make_no_slow_reader() -> None:
    """Thousands of jobs of its groups wait until it has read what is before them."""
    async with running_engine() as (engine, store):
        for number in range(900):
            for group in ("g", "h", "i"):
                store.jobs[f"{group}-{number}"] = job(f"{group}-{number}", group=group, pad=500)
        socket, transport = open_socket(engine, stuck=True)
        socket.data_received(client_frames(subscribe(groups=("g", "h", "i"))))
        await settle()
        assert len(transport.sent) < 2 * KERNEL_BYTES
        transport.read()
        await settle()
        assert len(versions(ws_messages(transport.take()))) == 2700
        assert not transport.is_closing()


@pytest.mark.parametrize(("pushed", "stored"), [(1, 2), (2, 1), (2, 2)])
async def test_a_state_pushed_while_the_store_is_read_is_sent_once(pushed: int, stored: int) -> None:
    """The newer one comes, after the confirmation; to ask again brings it again."""
    async with running_engine() as (engine, store):
        store.hold = True
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(subscribe("job-1")))
        await settle()
        engine.hub.deliver(state(version=pushed))
        store.jobs["job-1"] = job(version=stored)
        store.hold = False
        store.let_go()
        await settle()
        assert versions(ws_messages(transport.take())) == [2]
        store.jobs["job-1"] = job(version=2)
        socket.data_received(client_frames(subscribe("job-1")))
        await settle()
        assert versions(ws_messages(transport.take())) == [2]

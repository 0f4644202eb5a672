"""The life of a WebSocket: messages, closes, readers that are behind, connections that break."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from hookcast.push.direct import KERNEL_BYTES
from hookcast.push.socket import PARSED_BYTES
from support.push import (
    Time,
    client_frames,
    job,
    nothing_left,
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


async def test_a_reader_that_stays_behind_is_closed_with_4001() -> None:
    """After 30 s; it is cut off when it does not take that either."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        socket, transport = open_socket(engine, stuck=True)
        socket.data_received(client_frames(subscribe("job-1")))
        await settle()
        engine.hub.deliver(state(version=1, pad=2 * KERNEL_BYTES))
        time.now += 30.2
        await engine.wheel.turn()
        assert ws_messages(transport.sent)[-1] == (4001, "slow")
        assert not transport.is_closing()
        assert len(engine.hub) == 0
        time.now += 5.2
        await engine.wheel.turn()
        assert transport.was_aborted()


async def test_a_socket_that_nobody_uses_is_closed_after_a_minute() -> None:
    """It costs little, and there may be many."""
    time = Time()
    async with running_engine(time=time) as (engine, _):
        unused, used = open_socket(engine), open_socket(engine)
        await used[0].receive('{"type":"subscribe","requestIds":["job-1"]}')
        await used[0].receive('{"type":"unsubscribe","requestIds":["job-1"]}')
        for transport in (unused[1], used[1]):
            transport.take()
        time.now += 61
        await engine.wheel.turn()
        assert ws_messages(unused[1].take()) == [(1000, "unused")]
        assert ws_messages(used[1].take()) == [{"type": "ping"}]


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


async def test_a_client_that_subscribes_without_end_is_closed_with_4504() -> None:
    """What it subscribes to again costs as much as what is new; time gives it back."""
    time = Time()
    text = json.dumps({"type": "subscribe", "requestIds": [f"job-{number}" for number in range(200)]})
    async with running_engine(time=time) as (engine, _):
        socket, transport = open_socket(engine)
        for _ in range(10):
            await socket.receive(text)
        time.now += 2
        await socket.receive(text)
        assert {message["type"] for message in ws_messages(transport.take())} == {"subscribed"}
        await socket.receive('{"type":"subscribe","requestIds":["job-1"]}')
        told, close = ws_messages(transport.take())
        assert (told["type"], told["code"]) == ("error", "too_many")
        assert close == (4504, "too many")
        transport.lose()
        assert nothing_left(engine)
        assert len(engine.asking) == 0


async def test_a_lifetime_that_is_over_closes_with_4002() -> None:
    """The client answers the close, and then the connection ends."""
    time = Time()
    async with running_engine(time=time, lifetime=100.0) as (engine, _):
        socket, transport = open_socket(engine)
        await socket.receive('{"type":"subscribe","requestIds":["job-1"]}')
        transport.take()
        time.now += 101
        await engine.wheel.turn()
        assert ws_messages(transport.take()) == [(4002, "rotate")]
        assert not transport.is_closing()
        socket.data_received(client_frames(close=4002))
        assert transport.is_closing()
        transport.lose()
        assert nothing_left(engine)


async def test_a_drain_says_when_to_come_back_and_closes_with_1012() -> None:
    """`afterMs` is spread over the drain window."""
    async with running_engine(drain=10.0) as (engine, _):
        transports = [open_socket(engine)[1] for _ in range(100)]
        engine.admission.drain()
        said = [ws_messages(transport.take()) for transport in transports]
    assert {(one["type"], close) for one, close in said} == {("reconnect", (1012, "restart"))}
    waits = [one["afterMs"] for one, _ in said]
    assert 500 <= min(waits) < 3000
    assert 8000 < max(waits) <= 10_000


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_the_clients_close_is_understood_however_it_arrives(size: int) -> None:
    """Also behind other messages, while the server is closing itself, in pieces."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        engine.admission.drain()
        data = client_frames(subscribe("job-1"), subscribe("job-2"), close=1000)
        for start in range(0, len(data), size):
            assert not transport.is_closing()
            socket.data_received(data[start : start + size])
        assert transport.is_closing()
        assert len(engine.hub) == 0


async def test_a_close_is_answered_with_the_same_code_and_ends_the_connection() -> None:
    """RFC 6455 section 5.5.1; pongs that are due go before it."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        socket.data_received(PING + client_frames(close=1000))
        assert transport.sent == b"\x8a\x00\x88\x02\x03\xe8"
        assert transport.is_closing()


async def test_a_broken_frame_ends_the_connection() -> None:
    """1002, and nothing that follows is looked at."""
    async with running_engine() as (engine, _):
        socket, transport = open_socket(engine)
        socket.data_received(b"\x81\x01a" + PING * PARSED_BYTES)
        await settle()
        [(code, _)] = ws_messages(transport.take())
        assert code == 1002
        assert transport.is_closing()


async def test_a_connection_that_breaks_during_a_subscription_leaves_nothing_behind() -> None:
    """And nobody writes to it any more."""
    async with running_engine(job()) as (engine, store):
        store.hold = True
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(subscribe("job-1", groups=("g",)), subscribe("job-2")))
        await settle()
        with capture_logs() as logs:
            transport.lose()
            store.hold = False
            store.let_go()
            await settle()
        assert not logs
        assert nothing_left(engine)


async def test_a_socket_that_closes_during_a_subscription_subscribes_no_more() -> None:
    """The messages that wait are not worked off."""
    async with running_engine(job()) as (engine, store):
        store.hold = True
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(subscribe("job-1"), subscribe("job-2")))
        await settle()
        engine.admission.drain()
        store.let_go()
        await settle()
        assert [message["type"] for message in ws_messages(transport.take())[:-1]] == ["reconnect"]
        assert len(engine.hub) == 0
        await socket.receive('{"type":"subscribe","requestIds":["job-3"]}')
        assert len(engine.hub) == 0


async def test_a_store_that_is_away_sends_the_client_to_come_back_later() -> None:
    """`reconnect` and 1012; nothing stays subscribed."""
    async with running_engine() as (engine, store):
        store.down = True
        socket, transport = open_socket(engine)
        socket.data_received(client_frames(subscribe("job-1")))
        await settle()
        assert ws_messages(transport.take())[-1] == (1012, "restart")
        assert len(engine.hub) == 0


async def test_a_fault_of_the_server_ends_only_this_connection() -> None:
    """1011, and the log says what happened."""
    async with running_engine() as (engine, store):
        socket, transport = open_socket(engine)
        _, other = open_socket(engine)
        store.jobs = None  # type: ignore[assignment]
        with capture_logs() as logs:
            socket.data_received(client_frames(subscribe("job-1")))
            await settle()
        assert [entry["event"] for entry in logs] == ["socket_crashed"]
        assert ws_messages(transport.take())[-1] == (1011, "internal error")
        assert not other.is_closing()


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

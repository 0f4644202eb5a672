"""How a WebSocket ends: closed by the server or the client, or broken."""

import json

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

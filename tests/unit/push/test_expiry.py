"""Streams and tokens: the warning, the end, renewal in place, and what a caller is not shown. Time is moved by hand."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hookcast.auth import NOBODY, Caller, Gate
from hookcast.errors import TokenExpired
from hookcast.push import Engine, Names, SseStream, WebSocketStream
from hookcast.wire import SSE_TOKEN_EXPIRING, split_frames
from support.access import SECRET, token
from support.push import Time, job, running_engine, state
from support.transports import FakeTransport

pytestmark = pytest.mark.anyio
MINE = Caller(sub="user-1")


class World:
    """An engine that asks for tokens; its two clocks move together."""

    def __init__(self, engine: Engine, clock: Time) -> None:
        self.engine = engine
        self.clock = clock
        self.offset = time.time() - clock.now
        engine.gate = Gate(lambda: clock.now + self.offset, secrets=(SECRET,))

    def caller(self, seconds: float, **rights: Any) -> Caller:
        """One whose token expires then."""
        return Caller(expires_at=self.engine.gate.clock() + seconds, **rights)

    async def events(self, caller: Caller, names: Names, *, stuck: bool = False) -> tuple[SseStream, FakeTransport]:
        """An SSE stream."""
        stream, transport = SseStream(self.engine, caller), FakeTransport(stuck=stuck)
        transport.protocol = stream
        with self.engine.admission.opening(stream):
            await stream.join(await self.engine.subscriptions.permitted(caller, names))
            stream.begin(transport, b"")
        transport.take()
        return stream, transport

    def socket(self, caller: Caller) -> tuple[WebSocketStream, FakeTransport]:
        """A WebSocket."""
        stream, transport = WebSocketStream(self.engine, caller), FakeTransport()
        transport.protocol = stream
        with self.engine.admission.opening(stream):
            stream.begin(transport)
        return stream, transport

    async def pass_time(self, seconds: float) -> None:
        """And let the timer do what is due."""
        self.clock.now += seconds
        await self.engine.wheel.turn()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Two jobs of one group and two owners."""
    clock = Time()
    jobs = (job("mine", group="g", owner="user-1"), job("theirs", group="g", owner="user-2"))
    async with running_engine(*jobs, time=clock) as (engine, _):
        yield World(engine, clock)


def subscribe(*names: str, **members: Any) -> str:
    """A client's message."""
    return json.dumps({"type": "subscribe", "requestIds": names, **members})


def told(transport: FakeTransport) -> list[str]:
    """Messages and closes of a WebSocket, shortened."""
    frames = split_frames(transport.take())
    return [str(int.from_bytes(data[:2])) if opcode == 8 else data.decode()[:60] for opcode, data in frames]


async def test_an_sse_stream_is_warned_and_ends_with_its_token(world: World) -> None:
    """Half a minute before, once; then the close, and nothing after it."""
    _, transport = await world.events(world.caller(100, jobs=frozenset({"mine"})), Names(("mine",)))
    await world.pass_time(69)
    assert SSE_TOKEN_EXPIRING not in transport.take()
    await world.pass_time(1.5)
    assert transport.take().count(SSE_TOKEN_EXPIRING) == 1
    await world.pass_time(20)
    assert SSE_TOKEN_EXPIRING not in transport.take()
    await world.pass_time(10)
    assert transport.closing
    world.engine.hub.deliver(state("mine", 2, owner="user-1"))
    assert transport.take() == b""


async def test_a_token_that_is_about_to_expire_is_told_at_once(world: World) -> None:
    """The warning is late then, and no less useful."""
    _, transport = await world.events(world.caller(10, sub="user-1"), Names(("mine",)))
    await world.pass_time(0.5)
    assert transport.take() == SSE_TOKEN_EXPIRING


async def test_a_reader_that_is_behind_ends_with_its_token_all_the_same(world: World) -> None:
    """Nobody keeps a stream by not reading it."""
    stream, transport = await world.events(world.caller(20, sub="user-1"), Names(("mine",)), stuck=True)
    stream.pause_writing()
    await world.pass_time(21)
    assert transport.closing


async def test_a_stream_without_end_of_its_rights_goes_on(world: World) -> None:
    """An API key does not expire."""
    _, transport = await world.events(Caller(full=True), Names(("mine",)))
    await world.pass_time(1000)
    assert not transport.closing


async def test_a_socket_is_warned_and_closed_with_its_own_code(world: World) -> None:
    """4502: come back with a new token."""
    socket, transport = world.socket(world.caller(100, sub="user-1", jobs=frozenset({"job-1"})))
    await socket.receive('{"type":"subscribe","requestIds":["job-1"]}')
    await world.pass_time(70.5)
    assert '{"type":"token-expiring"}' in told(transport)
    await world.pass_time(30)
    assert told(transport) == ["4502"]


async def test_a_socket_that_says_nothing_of_itself_is_closed(world: World) -> None:
    """After some seconds, with 4501; a token in time lets it stay."""
    _, silent = world.socket(NOBODY)
    spoke, transport = world.socket(NOBODY)
    await spoke.receive(subscribe(token=token(sub="user-1")))
    await world.pass_time(11)
    assert told(silent) == ["4501"]
    assert told(transport)[0] == '{"type":"subscribed","requestIds":[],"groups":[]}'
    assert not transport.closing


async def test_a_socket_may_not_subscribe_before_it_has_a_token(world: World) -> None:
    stream, transport = world.socket(NOBODY)
    await stream.receive(subscribe("mine"))
    assert told(transport) == ["4501"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("no-token", "4501"), (token("x" * 40, sub="user-1"), "4501"), (token(expires_in=-1, sub="user-1"), "4502")],
)
async def test_a_socket_that_brings_a_wrong_token_is_closed(world: World, wrong: str, code: str) -> None:
    """The old one does not count any more, either: it never falls back."""
    stream, transport = world.socket(world.caller(100, sub="user-1"))
    await stream.receive(subscribe("mine", token=wrong))
    assert told(transport) == [code]


async def test_a_newer_token_renews_in_place(world: World) -> None:
    """The stream goes on past the old one's end, and is warned of the new one's."""
    stream, transport = world.socket(world.caller(100, sub="user-1"))
    await stream.receive(subscribe("mine"))
    await world.pass_time(80)
    transport.take()
    await stream.receive(subscribe(token=token(expires_in=300, sub="user-1")))
    await world.pass_time(30)
    world.engine.hub.deliver(state("mine", 2, owner="user-1"))
    assert any('"version":2' in text or '"requestId":"mine"' in text for text in told(transport))
    assert not transport.closing
    await world.pass_time(162)
    assert '{"type":"token-expiring"}' in told(transport)


async def test_another_users_token_ends_what_the_first_one_watched(world: World) -> None:
    """The first user's job is left, and the client is told."""
    stream, transport = world.socket(world.caller(100, sub="user-1"))
    await stream.receive(subscribe("mine"))
    transport.take()
    await stream.receive(subscribe("theirs", token=token(sub="user-2")))
    heard = b"".join(data for _, data in split_frames(transport.take()))
    assert b'"code":"forbidden"' in heard
    assert b'{"type":"job","job":{"requestId":"theirs"' in heard
    world.engine.hub.deliver(state("mine", 5, owner="user-1"))
    assert transport.take() == b""


async def test_of_a_group_an_owner_sees_the_own_jobs_only(world: World) -> None:
    """First states and later ones, on both kinds of stream."""
    _, events = await world.events(MINE, Names(groups=("g",)))
    stream, socket = world.socket(MINE)
    await stream.receive(subscribe(groups=["g"]))
    first = socket.take()
    assert b'"mine"' in first
    assert b"theirs" not in first
    for name, owner in (("theirs", "user-2"), ("mine", "user-1"), ("new", None)):
        world.engine.hub.deliver(state(name, 7, group="g", owner=owner))
    for transport in (events, socket):
        heard = transport.take()
        assert heard.count(b'"version":7') == 1
        assert b'"requestId":"mine"' in heard


async def test_what_is_hidden_is_answered_as_what_is_not_there(world: World) -> None:
    """A stranger learns of no job."""
    stream, transport = world.socket(Caller(sub="user-3"))
    answers = []
    for name in ("theirs", "absent"):
        await stream.receive(subscribe(name))
        answers.append(transport.take().replace(name.encode(), b"*")[2:])
    assert answers[0] == answers[1]
    assert b'"code":"forbidden"' in answers[0]
    world.engine.hub.deliver(state("theirs", 2, owner="user-2"))
    assert transport.take() == b""


async def test_a_name_that_the_token_has_may_be_watched_before_its_job(world: World) -> None:
    """It waits, as for anybody."""
    _, transport = await world.events(Caller(jobs=frozenset({"later"})), Names(("later",)))
    world.engine.hub.deliver(state("later", 1))
    assert b'"requestId":"later"' in transport.take()


class SlowStore:
    """A store whose answers come late: time passes while it is asked."""

    def __init__(self, world: World, seconds: float) -> None:
        self._store = world.engine.subscriptions._store
        self._world = world
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        async def late(*arguments: Any) -> Any:
            self._world.clock.now += self._seconds
            return await verb(*arguments)

        return late


async def test_a_token_that_expires_while_the_database_is_asked_opens_no_sse_stream(world: World) -> None:
    """Nothing of what was read is sent."""
    world.engine.subscriptions._store = SlowStore(world, 6)
    with pytest.raises(TokenExpired):
        await world.events(world.caller(5, jobs=frozenset({"mine"})), Names(("mine",)))
    assert not world.engine.admission.streams
    assert not len(world.engine.hub)


async def test_a_token_that_expires_while_the_database_is_asked_shows_a_socket_nothing(world: World) -> None:
    """The names are confirmed before; states are not sent any more."""
    stream, transport = world.socket(world.caller(5, jobs=frozenset({"mine"})))
    world.engine.subscriptions._store = SlowStore(world, 6)
    await stream.receive(subscribe("mine"))
    assert b'"type":"job"' not in transport.take()
    await world.pass_time(0.2)
    assert told(transport) == ["4502"]


@pytest.mark.parametrize("rights", [{"jobs": frozenset({"mine"})}, {"sub": "user-1"}])
async def test_between_the_end_and_the_timer_nothing_is_shown(world: World, rights: Any) -> None:
    """The timer has a step; a state that comes within it is not for this caller any more."""
    _, events = await world.events(world.caller(5, **rights), Names(("mine",)))
    stream, socket = world.socket(world.caller(5, **rights))
    await stream.receive(subscribe("mine"))
    socket.take()
    world.clock.now += 5
    world.engine.hub.deliver(state("mine", 9, owner="user-1"))
    assert events.take() == socket.take() == b""


async def test_a_close_that_is_under_way_is_not_undone_by_a_newer_token(world: World) -> None:
    """Renewal and expiry at the same moment: the stream ends, and watches nothing."""
    stream, transport = world.socket(world.caller(5, sub="user-1"))
    await stream.receive(subscribe("mine"))
    transport.take()
    await world.pass_time(5.2)
    await stream.receive(subscribe("mine", token=token(sub="user-1")))
    world.engine.hub.deliver(state("mine", 9, owner="user-1"))
    assert told(transport) == ["4502"]
    assert not len(world.engine.hub)


async def test_a_socket_that_ends_while_its_token_is_read_watches_nothing(world: World) -> None:
    """The provider's keys may take seconds to come."""
    stream, transport = world.socket(world.caller(5, sub="user-1"))
    gate, admit = world.engine.gate, world.engine.gate.admit

    async def late(credential: str | None) -> Caller:
        await world.pass_time(6)
        return await admit(credential)

    gate.admit = late  # type: ignore[method-assign]
    await stream.receive(subscribe("mine", token=token(sub="user-1")))
    assert told(transport) == ["4502"]
    assert not len(world.engine.hub)

"""What streams that open together share, and what each of them still reads for itself."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from hookcast.jobs import Job, MediaFile, MediaStatus
from hookcast.push.shared import LINKS_SECONDS, Recent
from hookcast.push.subscriptions import CHUNK
from hookcast.wire import State, encode
from support.push import Time, job, open_events, open_socket, running_engine, settle, sse_versions, state, ws_messages

pytestmark = pytest.mark.anyio
MANY = [job(f"job-{number:03}", 2, group="g") for number in range(250)]


class Shown:
    """Encodes jobs, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, shown: Job) -> State:
        """Encode the job."""
        self.times += 1
        return encode(shown)


def test_a_state_is_at_hand_unless_the_store_has_a_newer_one() -> None:
    recent = Recent()
    recent.encode(job("a", 2))
    found = [recent.at_hand({"a": version}) for version in (1, 2, 3, 0)]
    assert [[state.version for state in states] for states in found] == [[2], [2], [], []]
    recent.put(state("a", 3))
    assert [state.version for state in recent.at_hand({"b": 1, "a": 2})] == [3]


def test_links_are_made_again_after_a_while() -> None:
    """They may expire, so a state with links is shared for seconds only; one without for as long as it is kept."""
    time, shown = Time(), Shown()
    recent = Recent(shown, time)
    file = MediaFile(source="https://fal.example/a.png", spots=(), status=MediaStatus.KEPT, key="a")
    linked = replace(job("linked", ended=True), result=Raw(b"{}"), media=(file,))
    for _ in range(2):
        recent.encode(linked)
        recent.encode(job("plain"))
    assert (shown.times, len(recent.at_hand({"linked": 1, "plain": 1}))) == (2, 2)
    time.now += LINKS_SECONDS + 1
    assert not recent.at_hand({"linked": 1})
    recent.encode(linked)
    recent.encode(job("plain"))
    assert (shown.times, len(recent.at_hand({"linked": 1, "plain": 1}))) == (3, 2)


@pytest.mark.parametrize("kind", ["sse", "websocket"])
async def test_the_second_stream_reads_no_state_that_the_first_has_read(kind: str) -> None:
    async with running_engine(*MANY) as (engine, store):
        for number in range(2):
            store.asked.clear()
            if kind == "sse":
                _, transport = await open_events(engine, groups=("g",))
                await settle()
                versions = sse_versions(transport.sent)
            else:
                socket, transport = open_socket(engine)
                await socket.receive('{"type":"subscribe","groups":["g"]}')
                await settle()
                versions = [said["job"]["version"] for said in ws_messages(transport.sent) if said["type"] == "job"]
            assert versions == [2] * len(MANY)
            assert len(store.asked) == (0 if number else len(MANY))


async def test_a_state_pushed_while_it_is_read_is_sent_once() -> None:
    """As is one that is pushed before it is read, and is as new as the store's: it is not read at all."""
    async with running_engine(*MANY) as (engine, store):
        _, transport = await open_events(engine, groups=("g",))
        store.hold = True
        await settle()
        assert len(store.held) == CHUNK
        for found in MANY:
            store.jobs[found.request_id] = replace(found, version=3)
            engine.hub.deliver(state(found.request_id, 3, group="g"))
        store.hold = False
        store.let_go()
        await settle()
        assert sse_versions(transport.sent) == [2] * CHUNK + [3] * len(MANY)
        assert len(store.asked) == 2 * CHUNK

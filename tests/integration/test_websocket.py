"""The WebSocket `hookcast.v1`, spoken by an independent client with a real port."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from support.fal import FalDouble
from support.push import nothing_left
from support.raw import UPGRADE, raw, subscribe
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


def open_socket(node: Node, **options: Any) -> connect:
    """A client of the path, directly."""
    options.setdefault("subprotocols", [Subprotocol("hookcast.v1")])
    return connect(f"ws{node.url[4:]}/api/fal-jobs/ws", proxy=None, **options)


async def say(client: ClientConnection, **message: Any) -> None:
    """Send a message."""
    await client.send(json.dumps(message))


async def hear(client: ClientConnection) -> Any:
    """The next message."""
    text = await client.recv()
    assert isinstance(text, str)
    return json.loads(text)


async def closed(client: ClientConnection) -> tuple[int | None, str | None]:
    """Code and reason of the close that comes after whatever was sent before."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code, client.close_reason


async def test_states_follow_the_confirmation(node: Node) -> None:
    """`subscribed`, the known states, then every later one, by name and by group; `unsubscribe` ends that."""
    await node.register("job-1", group="g")
    async with open_socket(node) as client:
        assert client.subprotocol == "hookcast.v1"
        await say(client, type="subscribe", requestIds=["job-1", "job-2"], groups=["g"])
        assert await hear(client) == {"type": "subscribed", "requestIds": ["job-1", "job-2"], "groups": ["g"]}
        first = await hear(client)
        assert (first["type"], first["job"]["requestId"], first["job"]["version"]) == ("job", "job-1", 1)
        await node.post_webhook(node.fal.webhook("job-1"))
        second = await hear(client)
        assert second["job"] == (await node.client.get("/api/fal-jobs/job-1")).json()
        await node.register("job-3", group="g")
        assert (await hear(client))["job"]["requestId"] == "job-3"
        await say(client, type="unsubscribe", requestIds=["job-1"], groups=["g"])
        await until(lambda: set(node.engine.hub) == {"job:job-2"})
        await node.register("job-4", group="g")
        await node.register("job-2")
        assert (await hear(client))["job"]["requestId"] == "job-2"
    await until(lambda: nothing_left(node.engine))


async def test_a_job_that_was_known_without_a_group_comes_with_its_registration(node: Node) -> None:
    """The webhook may be faster than whoever names the group."""
    async with open_socket(node) as client:
        await say(client, type="subscribe", groups=["g"])
        await hear(client)
        await node.post_webhook(node.fal.webhook("job-1"))
        await node.register("job-1", group="g")
        told = (await hear(client))["job"]
    assert (told["requestId"], told["status"], told["version"]) == ("job-1", "completed", 2)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 4503),
        ('{"type":"subscribe","requestIds":"job-1"}', 4503),
        ('{"type":"ping"}', 4503),
        (b"{}", 4503),
        ('{"type":"subscribe","requestIds":["a/b"]}', 4503),
        (json.dumps({"type": "subscribe", "requestIds": [f"job-{number}" for number in range(201)]}), 4504),
        (json.dumps({"type": "subscribe", "requestIds": ["x"] * 100, "groups": ["y"] * 101}), 4504),
        ("x" * 65_537, 1009),
    ],
)
async def test_a_wrong_message_closes_with_its_code(node: Node, message: str | bytes, code: int) -> None:
    """After an `error` message that says what was wrong."""
    async with open_socket(node) as client:
        await client.send(message)
        if code >= 4000:
            told = await hear(client)
            assert told["type"] == "error"
            assert told["code"] == {4503: "bad_message", 4504: "too_many"}[code]
            assert told["message"]
        assert (await closed(client))[0] == code
    await until(lambda: nothing_left(node.engine))


async def test_200_names_fit_into_a_message(node: Node) -> None:
    """In one text frame or in many."""
    names = [f"job-{number}" for number in range(200)]
    async with open_socket(node) as client:
        text = json.dumps({"type": "subscribe", "requestIds": names})
        await client.send(text[start : start + 10] for start in range(0, len(text), 10))
        assert (await hear(client))["requestIds"] == names


@pytest.mark.parametrize(("offered", "chosen"), [(["x", "hookcast.v1"], "hookcast.v1"), (None, None)])
async def test_the_subprotocol_is_chosen_when_it_is_offered(
    node: Node, offered: list[Subprotocol] | None, chosen: str | None
) -> None:
    """Among others, too; a client that offers none speaks it all the same. Compression is not taken."""
    async with open_socket(node, subprotocols=offered) as client:
        assert client.subprotocol == chosen
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_another_subprotocol_is_refused(node: Node) -> None:
    """422 in place of the 101."""
    with pytest.raises(InvalidStatus) as caught:
        async with open_socket(node, subprotocols=[Subprotocol("other")]):
            pass
    assert caught.value.response.status_code == 422
    assert json.loads(caught.value.response.body or b"")["code"] == "invalid_request"


async def test_a_request_without_an_upgrade_is_told_so(node: Node) -> None:
    answer = await node.client.get("/api/fal-jobs/ws")
    assert (answer.status_code, answer.headers["upgrade"], answer.json()["code"]) == (
        426,
        "websocket",
        "upgrade_required",
    )


async def test_pings_of_either_side_are_answered(node: Node) -> None:
    """The client's frames by pongs with the same bytes."""
    async with open_socket(node) as client:
        await (await client.ping(b"hello"))
        await (await client.ping(b""))


async def test_silence_is_broken_and_the_lifetime_ends_with_4002(database_url: str, fal: FalDouble) -> None:
    """`ping` messages, then the close that says to come back."""
    times: dict[str, Any] = {"heartbeat_seconds": 0.05, "stream_lifetime_seconds": 0.5}
    async with running_node(fal, database_url=database_url, **times) as node, open_socket(node) as client:
        assert await hear(client) == {"type": "ping"}
        assert await hear(client) == {"type": "ping"}
        assert await closed(client) == (4002, "rotate")
        await until(lambda: nothing_left(node.engine))


async def test_a_drain_says_when_to_come_back(node: Node) -> None:
    """`reconnect` with the wait, 1012, and 503 for new ones."""
    async with open_socket(node) as client:
        await say(client, type="subscribe", requestIds=["job-1"])
        await hear(client)
        node.engine.admission.drain()
        told = await hear(client)
        assert told["type"] == "reconnect"
        assert 500 <= told["afterMs"] <= 10_000
        assert await closed(client) == (1012, "restart")
    await until(lambda: nothing_left(node.engine))
    with pytest.raises(InvalidStatus) as caught:
        async with open_socket(node):
            pass
    assert caught.value.response.status_code == 503
    assert caught.value.response.headers["Retry-After"]


async def test_a_client_that_never_answers_the_close_is_cut_off(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few seconds nothing is left of it."""
    monkeypatch.setattr("hookcast.push.stream.CLOSE_SECONDS", 0.0)
    async with raw(node) as client:
        await client.send(UPGRADE)
        await client.until(b"\r\n\r\n")
        await client.send(subscribe("job-1"))
        await client.until(b"subscribed")
        node.engine.admission.drain()
        await client.rest()
    assert b"reconnect" in client.seen
    await until(lambda: nothing_left(node.engine))


async def test_many_messages_at_once_are_answered_in_order(node: Node) -> None:
    """As many as a client likes to send, before it reads anything."""
    async with open_socket(node) as client:
        for number in range(300):
            await say(client, type="subscribe", requestIds=[f"job-{number}"])
            await say(client, type="unsubscribe", requestIds=[f"job-{number}"])
        told = [(await hear(client))["requestIds"] for _ in range(300)]
        assert told == [[f"job-{number}"] for number in range(300)]
    await until(lambda: len(node.engine.hub) == 0)


async def test_a_message_in_one_segment_with_the_handshake_is_answered(node: Node) -> None:
    """RFC 6455 section 4.1 lets a client send only after the 101; one that does not is understood all the same."""
    await node.client.put("/api/fal-jobs/job-1", json={})
    for _ in range(10):
        async with raw(node) as client:
            await client.send(UPGRADE + subscribe("job-1"))
            await client.until(b'"version":1')
            assert b'"type":"subscribed"' in client.seen
            await client.send(subscribe("job-2"))
            await client.until(b'"job-2"')


async def test_both_transports_say_the_same(node: Node) -> None:
    """Each state has the same JSON in both."""
    await node.register("job-1", metadata={"note": "\u2028\u00fc"})
    async with open_socket(node) as client, node.events("job-1") as events:
        await say(client, type="subscribe", requestIds=["job-1"])
        await hear(client)
        for _ in range(2):
            event, message = await asyncio.gather(anext(events), hear(client))
            assert event.json() == message["job"]
            await node.post_webhook(node.fal.webhook("job-1"))

"""The WebSocket `hookcast.v1`, spoken by the clients that people use."""

import json
from typing import Any

import pytest

from integration.clients import hard
from support.clients import Seen
from support.server import Node, until
from support.sockets import Connect, Socket, python_socket

pytestmark = pytest.mark.anyio


def _url(node: Node) -> str:
    return f"{node.url.replace('http', 'ws', 1)}/api/fal-jobs/ws"


async def _job(socket: Socket) -> Any:
    message = json.loads(await socket.text())
    assert message["type"] == "job"
    return message["job"]


async def _subscribe(socket: Socket, **names: list[str]) -> None:
    await socket.send(type="subscribe", **names)
    told = json.loads(await socket.text())
    assert told == {"type": "subscribed", "requestIds": [], "groups": [], **names}


async def test_each_state_of_many_jobs_and_a_group_is_read_before_the_next_one_is_sent(
    node: Node, connect: Connect
) -> None:
    """`subscribed`, the states that are known, and every later one; names may come later."""
    await node.register("a")
    await node.register("of-the-group", group="g")
    async with connect(_url(node)) as socket:
        await _subscribe(socket, requestIds=["a", "b"])
        assert ((await _job(socket))["requestId"]) == "a"
        await node.register("a", owner="user-1")
        assert (await _job(socket))["owner"] == "user-1"
        await _subscribe(socket, groups=["g"])
        assert (await _job(socket))["requestId"] == "of-the-group"
        for name in ("of-the-group", "b", "a"):
            await node.post_webhook(node.fal.webhook(name))
            job = await _job(socket)
            assert (job["requestId"], job["status"]) == (name, "completed")


async def test_a_state_that_is_known_comes_once(node: Node) -> None:
    """However many begin to watch the job at the same moment."""
    await node.register("a")
    async with python_socket(_url(node)) as one, python_socket(_url(node)) as other:
        for socket in (one, other):
            await socket.send(type="subscribe", requestIds=["a"])
        types = [json.loads(await socket.text())["type"] for socket in (one, other) for _ in range(2)]
        await node.register("a", owner="user-1")
        versions = [(await _job(socket))["version"] for socket in (one, other)]
    assert (types, versions) == (["subscribed", "job"] * 2, [2, 2])


async def test_what_was_unsubscribed_is_heard_of_no_more(node: Node, connect: Connect) -> None:
    """The other names go on; when the client leaves, nothing of it stays."""
    async with connect(_url(node)) as socket:
        await _subscribe(socket, requestIds=["a", "b"], groups=["g"])
        await socket.send(type="unsubscribe", requestIds=["a"], groups=["g"])
        await until(lambda: list(node.engine.hub) == ["job:b"])
        await node.register("a", group="g")
        await node.register("b")
        assert (await _job(socket))["requestId"] == "b"
        await socket.close()
        await until(lambda: len(node.engine.hub) == 0)


async def test_a_large_result_with_hard_characters_arrives_byte_for_byte(node: Node, connect: Connect) -> None:
    """What a client gets as text holds what polling answers."""
    async with connect(_url(node)) as socket:
        await _subscribe(socket, requestIds=["job-1"])
        await node.post_webhook(hard.WEBHOOK)
        text = await socket.text()
        state = (await node.client.get("/api/fal-jobs/job-1")).text
    assert text == f'{{"type":"job","job":{state}}}'
    assert f'"result":{hard.RESULT},' in text


async def test_a_drain_says_when_to_come_back_and_closes_with_1012(node: Node, connect: Connect) -> None:
    """`reconnect` with a time inside the drain window, then the close."""
    async with connect(_url(node)) as socket:
        node.engine.admission.drain()
        told = json.loads(await socket.text())
        closed = await socket.closed()
    assert told == {"type": "reconnect", "afterMs": told["afterMs"]}
    assert 500 <= told["afterMs"] <= 10_000
    assert closed == Seen("close", "1012", "restart")


async def test_a_bad_message_is_explained_and_closes_with_4503(node: Node, connect: Connect) -> None:
    """The client is not to come back without a change."""
    async with connect(_url(node)) as socket:
        await socket.send(type="shout")
        told = json.loads(await socket.text())
        closed = await socket.closed()
    assert (told["type"], told["code"]) == ("error", "bad_message")
    assert (closed.event, closed.id) == ("close", "4503")

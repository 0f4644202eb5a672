"""Closed connections leave no circles: the collector looks for old ones rarely, so they would pile up."""

import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from support.fal import sign
from support.loops import on_uvloop
from support.raw import UPGRADE, Raw, connect, events, get, subscribe
from support.server import Node, until

pytestmark = [pytest.mark.anyio, on_uvloop]
CONNECTIONS = 100  # well above what compiling a statement leaves behind, which may happen at any moment


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Only what nobody refers to any more goes."""
    gc.disable()
    yield
    gc.enable()


def _webhook(node: Node) -> bytes:
    body = node.fal.webhook("job-1")
    fields = [f"{name}: {value}" for name, value in sign(body, node.fal.key).items()]
    return get("/api/webhooks/fal", f"Content-Length: {len(body)}", *fields, method="POST") + body


@pytest.mark.parametrize(
    ("sent", "then", "mark"),
    [
        (get("/healthz"), b"", b'"ok"'),
        (get("/healthz", "Connection: close"), b"", b'"ok"'),
        (get("/healthz", version="1.0"), b"", b'"ok"'),
        (get("/api/fal-jobs/nothing") + get("/healthz"), b"", b'"ok"'),
        (get("/api/webhooks/fal", "Content-Length: 9", method="POST"), b"", b""),
        (get("/healthz"), b"\x01\r\n\r\n", b"400 Bad"),
        (b"webhook", b"", b'{"status":'),
        (events("job-2"), b"", b"retry:"),
        (UPGRADE, subscribe("job-2"), b"subscribed"),
        (UPGRADE, b"\x01\x01", b"\x03\xea"),
        (UPGRADE.replace(b"Upgrade: websocket", b"Sec-WebSocket-Protocol: x\r\nUpgrade: websocket"), b"", b"422"),
        (get("/api/fal-jobs/ws"), b"", b"426"),
    ],
    ids=map(str, range(12)),  # not by their bytes: masks are random
)
@pytest.mark.parametrize("end", ["close", "cut"])
@pytest.mark.usefixtures("_no_collector")
async def test_closed_connections_are_freed_at_once(
    node: Node, sent: bytes, then: bytes, mark: bytes, end: str
) -> None:
    """Whatever they were used for, and whoever ended them how."""
    for _ in range(2):  # a webhook that comes again takes another way
        await _use(node, sent, then, mark, end)
    gc.collect()
    for _ in range(CONNECTIONS):
        await _use(node, sent, then, mark, end)
    await until(lambda: not node.server.server_state.tasks and len(node.server.server_state.connections) <= 1)
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    left = Counter(type(found).__name__ for found in gc.garbage)
    gc.garbage.clear()
    assert not [name for name, count in left.items() if count >= CONNECTIONS], left


async def _use(node: Node, sent: bytes, then: bytes, mark: bytes, end: str) -> None:
    client: Raw = await connect(node)
    await client.send(_webhook(node) if sent == b"webhook" else sent)
    if then:
        await client.more()
        await client.send(then)
    await client.until(mark)
    if end == "cut":
        client.cut()
    else:
        client.sock.close()

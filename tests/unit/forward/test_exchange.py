"""HTTP with a receiver: whatever it answers, however it ends its connections."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httptools
import pytest

from hookcast.forward import exchange, sending
from hookcast.forward.exchange import READ_BYTES, Connections, Reply
from hookcast.forward.sending import Verdict, senders
from support.certificates import make_certificate
from support.connections import listening
from support.ports import quiet_port
from support.server import until

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 204 No Content\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Says what it is told to each request; keeps the requests, and counts the connections."""

    def __init__(self, *answers: bytes, closes: bool = False) -> None:
        self.requests: list[bytes] = []
        self.connections = self.open = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._answers = list(answers)
        self._closes = closes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client leaves; the last answer repeats."""
        self.connections += 1
        self.open += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(size))
                writer.write(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
                await writer.drain()
                if self._closes:
                    break
        finally:
            writer.close()
            self.open -= 1


@asynccontextmanager
async def connected_to(
    server: Server, path: str = "/hook", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Connections]:
    """Run the server, and give the connections to it."""
    async with listening(server.serve, ssl=tls) as port:
        receiver = Connections(f"{'https' if tls else 'http'}://user:pass%20word@127.0.0.1:{port}{path}")
        try:
            yield receiver
        finally:
            receiver.close()
            await until(lambda: not server.open)


async def test_the_request_is_plain_http() -> None:
    """With the path, the query and the password of the URL."""
    server = Server(OK)
    async with connected_to(server, "/hook/?key=a%20b") as receiver:
        assert await receiver.post(b"{}", {"webhook-id": "msg_1"}) == Reply(204, None)
    [request] = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, host, *rest = head.split(b"\r\n")
    assert (first, host[:16], body) == (b"POST /hook/?key=a%20b HTTP/1.1", b"Host: 127.0.0.1:", b"{}")
    assert rest == [b"Authorization: Basic dXNlcjpwYXNzIHdvcmQ=", b"webhook-id: msg_1", b"Content-Length: 2"]


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Reply(200, None)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Reply(200, None)),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, Reply(204, None)),
        (b"HTTP/1.1 429 X\r\nRETRY-AFTER: 120\r\nContent-Length: 0\r\n\r\n", Reply(429, "120")),
    ],
)
async def test_a_connection_is_used_again_after_a_whole_answer(answer: bytes, reply: Reply) -> None:
    server = Server(answer)
    async with connected_to(server) as receiver:
        assert [await receiver.post(b"1", {}), await receiver.post(b"2", {})] == [reply, reply]
    assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\nto the end", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"]
)
async def test_a_connection_that_a_server_ends_is_not_used_again(answer: bytes) -> None:
    server = Server(answer, closes=True)
    async with connected_to(server) as receiver:
        assert [(await receiver.post(b"", {})).status for _ in range(2)] == [200, 200]
    assert server.connections == 2


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 500 X\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 500", b"bytes"]
)
async def test_what_follows_an_answer_is_not_the_answer_to_the_next_request(more: bytes) -> None:
    """Whether it comes with the answer or later: its connection is not used again."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    server, late = Server(ok + more), Server(ok)
    async with connected_to(server) as receiver:
        assert [await receiver.post(b"", {}) for _ in range(2)] == [Reply(200, None)] * 2
    async with connected_to(late) as receiver:
        await receiver.post(b"", {})
        late.writers[0].write(more)
        await until(lambda: not receiver._idle[0].fresh)
        assert await receiver.post(b"", {}) == Reply(200, None)
    assert (server.connections, late.connections) == (2, 2)


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """No attempt fails for it, and the receiver gets one request."""
    server = Server(OK, closes=True)
    async with connected_to(server) as receiver:
        for _ in range(3):
            assert (await receiver.post(b"", {})).status == 204
    assert len(server.requests) == 3


async def test_idle_connections_are_not_trusted_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(OK)
    monkeypatch.setattr(exchange, "IDLE_SECONDS", 0.0)
    async with connected_to(server) as receiver:
        for _ in range(3):
            await receiver.post(b"", {})
    assert server.connections == 3


async def test_an_answer_is_read_up_to_a_bound() -> None:
    """Its status counts all the same, and its connection is closed."""
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fff\r\n%b\r\n" % (b"x" * 0xFFF) * 100
    server = Server(endless)
    async with connected_to(server) as receiver:
        assert await receiver.post(b"", {}) == Reply(200, None)
        assert (await receiver.post(b"", {})).status == 200
    assert server.connections == 2


@pytest.mark.parametrize("rest", [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"])
async def test_a_status_counts_although_its_body_never_comes(rest: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend has said that it has the event: it is not told again."""
    monkeypatch.setattr(exchange, "REST_SECONDS", 0.05)
    server = Server(b"HTTP/1.1 200 OK\r\n" + rest)
    async with connected_to(server) as receiver:
        async with asyncio.timeout(60):
            assert [(await receiver.post(b"", {})).status for _ in range(2)] == [200, 200]
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * READ_BYTES * 2,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_an_error(answer: bytes) -> None:
    async with connected_to(Server(answer, closes=True)) as receiver:
        with pytest.raises((EOFError, OSError, httptools.HttpParserError)):
            await receiver.post(b"", {})


async def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(make_certificate(tmp_path))
    server = Server(OK)
    async with connected_to(server, tls=tls) as receiver:
        with pytest.raises(ssl.SSLCertVerificationError):
            await receiver.post(b"", {})
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "verdict"),
    [
        ("http://127.0.0.1:{port}/", Verdict.UNREACHABLE),
        ("http://no-such-host.invalid/", Verdict.UNREACHABLE),
    ],
)
async def test_what_cannot_be_reached_is_an_answer_not_an_error(url: str, verdict: Verdict) -> None:
    with senders(lambda: datetime.now(UTC)) as send_to:
        answer = await send_to(url.format(port=quiet_port())).post(b"{}", {})
    assert (answer.verdict, answer.final) == (verdict, False)


async def test_through_a_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which gets the whole address."""
    server = Server(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with listening(server.serve) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        with senders(lambda: datetime.now(UTC)) as send_to:
            answer = await send_to("http://backend.example/hook").post(b"{}", {"webhook-id": "msg_1"})
        await until(lambda: not server.open)
    assert (answer.verdict, answer.status) == (Verdict.REFUSED, 302)
    [request] = server.requests
    assert request.startswith(b"POST http://backend.example/hook HTTP/1.1\r\n")
    assert sending.USER_AGENT.encode() in request

"""`hookcast serve` gets its signals: one to drain, a second one to end at once."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dev import wait_for_database
from support.ports import quiet_port
from support.raw import UPGRADE, events, get, subscribe

DEADLINE = 120.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server as users start it, and its port."""
    port = quiet_port()
    command = [sys.executable, "-m", "hookcast", "serve", "--port", str(port)]
    log = (tmp_path / "log").open("w+")
    with log, subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            assert "listens on" in process.stdout.readline()
            wait_for_database(f"http://127.0.0.1:{port}")
            yield process, port
        finally:
            process.kill()


def connect(port: int, request: bytes, mark: bytes) -> tuple[socket.socket, bytes]:
    """A client that has sent its request and read up to the mark."""
    client = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
    client.sendall(request)
    return client, until(client, mark)


def until(client: socket.socket, mark: bytes) -> bytes:
    """Read up to the mark."""
    seen = b""
    while mark not in seen:
        data = client.recv(65536)
        assert data, seen
        seen += data
    return seen


def rest(client: socket.socket) -> bytes:
    """Read to the end."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_first_signal_tells_every_stream_when_to_come_back(
    served: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    """SSE: `retry:` and the end; WebSocket: `reconnect` and 1012; a long poll: an answer; then it ends well."""
    process, port = served
    sse = [connect(port, events("job-1"), b"retry: ")[0] for _ in range(20)]
    sockets = []
    for _ in range(20):
        client, _ = connect(port, UPGRADE, b"\r\n\r\n")
        client.sendall(subscribe("job-1"))
        until(client, b"subscribed")
        sockets.append(client)
    poll, _ = connect(port, get("/healthz") + get("/api/fal-jobs/job-1?wait=60"), b"200 OK")
    process.send_signal(signal.SIGTERM)
    waits = [int(re.findall(rb"retry: (\d+)\n$", rest(client))[0]) for client in sse]
    for client in sockets:
        told = until(client, b"restart")
        waits.append(int(re.findall(rb'\{"type":"reconnect","afterMs":(\d+)\}\x88\x09\x03\xf4restart', told)[0]))
        client.close()
    assert b" 404 " in rest(poll)
    assert process.wait(timeout=DEADLINE) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert all(500 <= wait <= 10_000 for wait in waits)
    assert len({wait // 1000 for wait in waits}) >= 5
    for client in (*sse, poll):
        client.close()


def test_clients_that_do_not_close_do_not_hold_the_server_up(served: tuple[subprocess.Popen[str], int]) -> None:
    """Neither one that ignores its close nor one that never reads."""
    process, port = served
    client, _ = connect(port, UPGRADE, b"\r\n\r\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE) == 0
    client.close()


def test_a_second_signal_ends_the_server_at_once(served: tuple[subprocess.Popen[str], int]) -> None:
    process, port = served
    clients = [connect(port, UPGRADE, b"\r\n\r\n")[0] for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    for client in clients:
        until(client, b"restart")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=DEADLINE) == 0
    for client in clients:
        client.close()

"""A host may take any time while bytes come; silence, drops and a stop end a fetch."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from hookcast.media import wire
from hookcast.media.failures import Interrupted, Stopped
from hookcast.media.stopping import Stop
from support.fetched import BODY, fetched
from support.filehost import FileHost, answer


class Clock:
    """Time that passes as the host sends: `step` seconds at each look."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self._step = step

    def __call__(self) -> float:
        """Return the time."""
        self.now += self._step
        return self.now


def drips(head: bytes, part: bytes) -> Callable[[socket.socket], None]:
    """Send a head, then a part again and again, slowly enough that each is read alone."""

    def script(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(head)
        ended = threading.Event()
        with suppress(OSError):
            while not ended.wait(0.001):
                sock.sendall(part)

    return script


def test_a_head_that_drips_is_given_up(host: FileHost) -> None:
    host.scripts["/a"] = drips(b"HTTP/1.1 200 OK\r\nA: ", b"a")
    with pytest.raises(Interrupted, match="in time"):
        fetched(f"{host.url}/a", clock=Clock(5))


def test_a_body_that_drips_is_given_up(host: FileHost) -> None:
    host.scripts["/a"] = drips(answer(b"", length=len(BODY)), b"a")
    with pytest.raises(Interrupted, match="silent"):
        fetched(f"{host.url}/a", clock=Clock(1))


def test_a_body_may_take_any_time_while_bytes_come(host: FileHost) -> None:
    def script(sock: socket.socket) -> None:
        sock.sendall(answer(b"", length=len(BODY)))
        for at in range(0, len(BODY), 4000):
            sock.sendall(BODY[at : at + 4000])
            host.ended.wait(0.001)

    host.scripts["/a"] = script
    assert fetched(f"{host.url}/a", clock=Clock(4)) == BODY


@pytest.mark.parametrize("head", [b"", answer(b"abc", length=9)])
def test_silence_is_given_up(host: FileHost, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SILENCE_SECONDS", 0.2)

    def script(sock: socket.socket) -> None:
        sock.sendall(head)
        host.ended.wait(60)

    host.scripts["/a"] = script
    with pytest.raises(Interrupted, match=r"silent|in time"):
        fetched(f"{host.url}/a")


@pytest.mark.parametrize("head", [b"", answer(b"abc", length=9)])
def test_a_stop_ends_a_copy_that_waits(host: FileHost, head: bytes) -> None:
    stop = Stop()

    def script(sock: socket.socket) -> None:
        sock.sendall(head)
        stop.set()
        host.ended.wait(60)

    host.scripts["/a"] = script
    began = time.monotonic()
    with pytest.raises(Stopped):
        fetched(f"{host.url}/a", stop)
    assert time.monotonic() - began < 20
    with pytest.raises(Stopped):
        fetched(f"{host.url}/a", stop)

"""A host may take any time while enough bytes come; silence, a trickle, drops and a stop end a fetch."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from hookcast.media import wire
from hookcast.media.failures import Interrupted, Stopped
from hookcast.media.stopping import Stop
from support.fetched import BODY, fetched, fetcher
from support.filehost import FileHost, answer, says


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
    with pytest.raises(Interrupted, match="less than 1 MiB in 30 seconds"):
        fetched(f"{host.url}/a", clock=Clock(1))


def test_a_body_may_take_any_time_while_bytes_come(host: FileHost) -> None:
    """Half a second for each read."""
    body, part = BODY * 24, 40_000

    def script(sock: socket.socket) -> None:
        sock.sendall(answer(b"", length=len(body)))
        for at in range(0, len(body), part):
            sock.sendall(body[at : at + part])
            host.ended.wait(0.001)

    host.scripts["/a"] = script
    assert fetched(f"{host.url}/a", clock=Clock(0.25)) == body


def test_the_time_between_reads_is_not_the_hosts(host: FileHost) -> None:
    """The storage takes a minute for each block."""
    host.scripts["/a"] = says(answer(BODY))
    clock, buffer, total = Clock(0.0), memoryview(bytearray(10_000)), 0
    with fetcher(clock=clock).get(f"{host.url}/a", Stop()) as download:
        while count := download.read_into(buffer):
            total += count
            clock.now += 60.0
    assert total == len(BODY)


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

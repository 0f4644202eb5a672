"""A host is measured by the time that reads wait for it."""

import socket
from typing import cast

import pytest

from hookcast.media.wire import MIN_BYTES, SILENCE_SECONDS, TooSlow, Wire

LEAST = MIN_BYTES / SILENCE_SECONDS  # bytes a second
HOUR = 3600.0


class Host:
    """A socket to a host that sends `bytes` each `seconds`, which pass while a read waits."""

    def __init__(self, count: int, seconds: float) -> None:
        self.now = 0.0
        self.count = count
        self.seconds = seconds
        self.wire = Wire(cast("socket.socket", self), clock=lambda: self.now, head_seconds=1.0)
        self.wire.head_is_read()

    def settimeout(self, seconds: float) -> None:
        """Take the deadline of a read."""

    def gettimeout(self) -> float:
        """Return it."""
        return SILENCE_SECONDS

    def recv_into(self, _buffer: memoryview) -> int:
        """Wait for what the host sends."""
        self.now += self.seconds
        return self.count

    def read(self, seconds: float, *, between: float = 0.0) -> None:
        """Read for so many seconds, with a pause after each read."""
        until = self.now + seconds
        while self.now < until:
            self.wire.readinto(memoryview(b""))
            self.now += between


def test_a_host_that_sends_enough_may_send_for_hours() -> None:
    Host(int(LEAST) + 1, 1.0).read(6 * HOUR)


@pytest.mark.parametrize("rate", [1, 40, int(LEAST) - 1000])
def test_a_host_that_sends_too_little_is_soon_given_up(rate: int) -> None:
    """A thread is held for a minute, not for hours."""
    host = Host(rate, 1.0)
    with pytest.raises(TooSlow):
        host.read(HOUR)
    assert host.now <= 2 * SILENCE_SECONDS


def test_a_host_that_becomes_slow_is_given_up() -> None:
    host = Host(MIN_BYTES, 1.0)
    host.read(HOUR)
    host.count = 40
    with pytest.raises(TooSlow):
        host.read(HOUR)
    assert host.now <= HOUR + 3 * SILENCE_SECONDS


def test_a_host_may_send_in_bursts() -> None:
    Host(2 * MIN_BYTES, SILENCE_SECONDS - 1).read(HOUR)


@pytest.mark.parametrize("between", [1.0, 20.0, 100.0])
def test_a_storage_that_is_slow_and_webhooks_that_go_first_are_not_the_hosts_doing(between: float) -> None:
    """Each read brings one block, at once; with the pause after it, that is less than a host must send."""
    Host(8 * 1024, 0.001).read(HOUR, between=between)

"""Webhooks take precedence over copies: both need the interpreter, a core and the disk, and a copy can wait."""

import time
from collections.abc import Callable

LONGEST_SECONDS = 0.01  # before each block of 128 KiB: under endless webhooks, a copy still makes up to 12 MB/s
LOOK_SECONDS = 0.001
RECENT_SECONDS = 0.05
PACE_SECONDS = 0.004  # before each block, soon after a webhook: what copies write is flushed with the next one's commit


class Precedence:
    """Entered while a webhook is committed and pushed, on the event loop. Threads of copies call `give_way`.

    It takes no lock: a webhook must not wait for a thread that holds one.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._count = 0
        self._left = float("-inf")
        self._clock = clock
        self._sleep = sleep

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        self._left = self._clock()

    def give_way(self) -> None:
        """Wait until no webhook is in progress, `LONGEST_SECONDS` at most; soon after one, wait `PACE_SECONDS`."""
        if self._count:
            until = self._clock() + LONGEST_SECONDS
            while self._count and self._clock() < until:
                self._sleep(LOOK_SECONDS)
        elif self._clock() - self._left < RECENT_SECONDS:
            self._sleep(PACE_SECONDS)

"""Lines that no change of a job writes, kept in memory until they are written together."""

from collections import OrderedDict
from datetime import datetime
from typing import Any

from hookcast.jobs import Clock
from hookcast.journal.lines import Event, Line, line

MAX_LINES = 20_000
"""Unwritten lines while the database is away. A line has at most a few hundred bytes."""
REMEMBERED = 10_000


class Notebook:
    """The unwritten lines of one node. `dropped` counts those for which there was no room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[Line] = []
        self._seen: OrderedDict[int, None] = OrderedDict()  # hashes, a third of the memory of the names
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._lines)

    def note(self, request_id: str, event: Event, *, at: datetime | None = None, **facts: Any) -> None:
        """Note a line; `at` is now unless given."""
        if len(self._lines) >= MAX_LINES:
            self.dropped += 1
            return
        self._lines.append(line(request_id, event, at or self._clock(), **facts))

    def note_once(self, request_id: str, event: Event, about: str, *, remember: bool = True, **facts: Any) -> None:
        """Note a line unless the job has had this event with the same `about` on this node a short while ago.

        Without `remember` the next one is noted, too.
        """
        name = hash((request_id, event, about))
        if name in self._seen:
            return
        if remember:
            self._seen[name] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        self.note(request_id, event, **facts)

    def take(self, limit: int) -> list[Line]:
        """Return at most `limit` of the oldest lines, and forget them."""
        taken, self._lines = self._lines[:limit], self._lines[limit:]
        return taken

    def put_back(self, lines: list[Line]) -> None:
        """Keep lines that could not be written, as far as there is room."""
        kept = lines[: max(MAX_LINES - len(self._lines), 0)]
        self.dropped += len(lines) - len(kept)
        self._lines = kept + self._lines

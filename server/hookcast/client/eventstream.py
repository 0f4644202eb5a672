"""A parser of event streams (WHATWG HTML, section 9.2.6) that also reports what httpx-sse hides.

httpx-sse yields only events: no `retry:` that no event follows, as before a restart, and no comments of a stream
whose job is not known yet. `id` is ignored here: every stream begins with the current state, so none is resumed.
"""

import re

from msgspec import Struct

from hookcast.wire import SSE_PING, SSE_WAITING

MAX_RETRY_SECONDS = 60.0
PING = SSE_PING.decode().strip()  # by itself: the server has sent everything
WAITING = SSE_WAITING.decode().splitlines()[0]  # before a ping: it has not
_LINE_END = re.compile(r"\r\n|\r|\n")


class Event(Struct, frozen=True):
    """An event of the stream, or a ping by itself: its `type` is PING."""

    type: str
    data: str


class EventParser:
    """Parses one stream. `retry` is the newest reconnection time in seconds, at most 60; 0 while there is none."""

    def __init__(self) -> None:
        self.retry = 0.0
        self._rest = ""
        self._after_cr = False
        self._type = ""
        self._data: list[str] = []
        self._waiting = False

    def feed(self, text: str) -> list[Event]:
        """Return the events and pings that end in the next piece of the stream's text, in order."""
        if not text:
            return []
        lines = _LINE_END.split(text.removeprefix("\n") if self._after_cr else text)
        self._after_cr = text.endswith("\r")
        lines[0] = self._rest + lines[0]
        self._rest = lines.pop()
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: str) -> Event | None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            return self._dispatch()
        waiting, self._waiting = self._waiting, line == WAITING
        if line == PING and not waiting:
            return Event(PING, "")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._type = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = min(float(value) / 1000, MAX_RETRY_SECONDS)
        return None

    def _dispatch(self) -> Event | None:
        event = Event(self._type or "message", "\n".join(self._data)) if self._data else None
        self._type, self._data = "", []
        return event

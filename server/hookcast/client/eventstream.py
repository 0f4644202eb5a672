"""A parser of event streams (WHATWG HTML, section 9.2.6): text in, events out.

It ignores `id`: every Hookcast stream begins with the current states, so none is resumed. httpx-sse reports a `retry`
only with a later event, and none follows at the end of a stream.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

RETRY = "retry"
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Event(NamedTuple):
    """An event; one of type `retry` is a reconnection time, and its data the milliseconds."""

    type: str
    data: str = ""


class Parser:
    """Parses one stream, in chunks of any size."""

    def __init__(self) -> None:
        self._rest: list[str] = []  # of a line that is not complete, in pieces: it may be megabytes long
        self._after_cr = False
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: str) -> Iterator[Event]:
        """Yield what the chunk completes: `retry` when its line ends, an event when a blank line comes."""
        text = chunk.removeprefix("\n") if self._after_cr else chunk
        self._after_cr = chunk.endswith("\r") if chunk else self._after_cr
        *lines, rest = _LINE_BREAK.split(text)
        for line in lines:
            whole, self._rest = "".join([*self._rest, line]), []
            yield from self._take(whole)
        self._rest.append(rest)

    def _take(self, line: str) -> Iterator[Event]:
        if not line:
            if self._data:
                yield Event(self._type or "message", "\n".join(self._data))
            self._type, self._data = "", []
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._type = value
        elif field == RETRY and value.isascii() and value.isdigit():
            yield Event(RETRY, value)

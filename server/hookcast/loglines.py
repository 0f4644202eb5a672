"""The log of a job: bounded lines, merged from fal's partial views of the log; pure.

A status has a window of the log: its last lines, or all of them. A status stream begins with such a window, then has
only new lines. fal does not number lines, so windows are aligned by their overlap; two lines may be equal.
"""

from msgspec import Struct, json

KEPT_LOG_LINES = 50
MAX_LINE_BYTES = 4 * 1024
MAX_LOG_BYTES = 256 * 1024
MAX_NOTE_LENGTH = 64  # of timestamp and level
CUT = "…"
SURE_LINES = 3  # equal lines without a timestamp that count as an overlap

_Lines = tuple["LogLine", ...]


class LogLine(Struct, frozen=True):
    """One line of the model's log, as fal sends it."""

    message: str
    timestamp: str | None = None
    level: str | None = None


def log_line(message: str, timestamp: str | None = None, level: str | None = None) -> LogLine:
    """Return the line, cut to its bounds, as every database can store it."""
    return LogLine(message=_cut(message), timestamp=_note(timestamp), level=_note(level))


def extended(kept: _Lines, new: _Lines) -> _Lines:
    """Return `kept` followed by new lines, within the bounds of a log."""
    return _bounded((*kept, *new)) if new else kept


def aligned(kept: _Lines, window: _Lines) -> _Lines:
    """Return the log after this window of it arrived; `kept` when the window has nothing new.

    The window may begin earlier than `kept`, or end earlier, as in a late answer. Without an overlap, more lines were
    written than a window holds.
    """
    if not window or _place_of(window, kept) is not None:
        return kept
    if _place_of(kept, window) is not None:
        return _bounded(window)
    newer, older = _overlap(kept, window), _overlap(window, kept)
    if older > newer and (_stamped(kept[:older]) or (not newer and older >= SURE_LINES)):
        return _bounded((*window[:-older], *kept))
    return _bounded((*kept, *(window[newer:] if newer else _not_before(kept, window))))


class StreamedLog:
    """The log as reported by one status stream, from `kept` on."""

    def __init__(self, kept: _Lines) -> None:
        self._lines = self._before = kept
        self._again: int | None = 0  # lines of `_before` that the stream has told again, if it is telling them
        self._begun = False
        self._first: LogLine | None = None

    def tell(self, lines: _Lines) -> _Lines:
        """Return the log after the stream's next event: its first one shows a window, the others new lines.

        An event that begins with the stream's first line again, by its timestamp, shows a window, too.
        """
        again = self._first is not None and self._first.timestamp is not None and lines[:1] == (self._first,)
        if self._begun and not again:
            self._lines = extended(self._lines, self._new(lines))
        else:
            self._lines = aligned(self._lines, lines)
            place = _place_of(lines, self._before) if lines else 0
            self._again = None if place is None else place + len(lines)
        self._begun, self._first = True, self._first or (lines[0] if lines else None)
        return self._lines

    def _new(self, lines: _Lines) -> _Lines:
        """Return the lines without those of before: a stream that is opened again may begin with the old ones."""
        if self._again is not None:
            rest = self._before[self._again :]
            size = min(len(rest), len(lines))
            if lines[:size] == rest[:size]:
                self._again += size
                return lines[size:]
            self._again = None
        return tuple(line for line in lines if line.timestamp is None or line not in self._before)


def _place_of(part: _Lines, whole: _Lines) -> int | None:
    """Return the last index at which `whole` contains all of `part`."""
    size = len(part)
    return next((at for at in range(len(whole) - size, -1, -1) if whole[at : at + size] == part), None)


def _overlap(first: _Lines, second: _Lines) -> int:
    """Return the largest number of lines that end `first` and begin `second`."""
    most = min(len(first), len(second))
    return next((size for size in range(most, 0, -1) if first[-size:] == second[:size]), 0)


def _stamped(lines: _Lines) -> bool:
    return any(line.timestamp is not None for line in lines)


def _not_before(kept: _Lines, window: _Lines) -> _Lines:
    """Return the lines that are not older than `kept`, by their timestamps."""
    oldest = kept[0].timestamp if kept else None
    if oldest is None:
        return window
    return tuple(line for line in window if line.timestamp is None or line.timestamp >= oldest)


def _bounded(lines: _Lines) -> _Lines:
    kept, size = lines[-KEPT_LOG_LINES:], 0
    for count, line in enumerate(reversed(kept)):
        size += len(json.encode(line)) + 1
        if size >= MAX_LOG_BYTES:
            return kept[len(kept) - count :]
    return kept


def _cut(text: str) -> str:
    plain = text.replace("\0", "\ufffd").encode(errors="replace")
    if len(plain) <= MAX_LINE_BYTES:
        return plain.decode()
    return plain[: MAX_LINE_BYTES - len(CUT.encode())].decode(errors="ignore") + CUT


def _note(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_NOTE_LENGTH and text.isprintable() else None

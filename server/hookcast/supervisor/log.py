"""The log of the parent: the same lines as those of `hookcast.logs`, without the memory that structlog takes."""

import json
import os
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType

from hookcast.writer import Writer

LEVELS = ("debug", "info", "warning", "error", "critical")
Value = str | int

_RESET, _BRIGHT, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_RED, _GREEN, _YELLOW, _MAGENTA, _CYAN = (f"\x1b[{number}m" for number in (31, 32, 33, 35, 36))
_COLOURS = {"info": _GREEN, "warning": _YELLOW, "error": _RED, "critical": _RED}
_QUOTED = frozenset(" \t=\r\n\"'")


class Log:
    """Writes events and their fields to standard error, from `level` on: for people on a terminal, else as JSON."""

    def __init__(self, level: str) -> None:
        self._least = LEVELS.index(level)
        self._people = sys.stderr.isatty()
        self._paint = _painted if self._people and not os.environ.get("NO_COLOR") else _plain
        self._writer = Writer(sys.stderr.fileno(), self._dropped)
        self._writer.start()

    def info(self, event: str, **fields: Value) -> None:
        """Log what is as it should be."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Value) -> None:
        """Log what costs something."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Value) -> None:
        """Log a failure."""
        self._write("error", event, fields)

    def crashed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log what ends the process with a traceback; a `sys.excepthook`."""
        text = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
        self._write("critical", "crashed", {}, text)
        self._writer.flush()

    def _write(self, level: str, event: str, fields: dict[str, Value], exception: str | None = None) -> None:
        if LEVELS.index(level) < self._least:
            return
        time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        if self._people:
            line = self._for_people(time, level, event, fields)
            text = line if exception is None else f"{line}\n{exception}"
        else:
            last = {} if exception is None else {"exception": exception}
            record = {**fields, "event": event, "level": level, "timestamp": time, **last}
            text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        self._writer.write(text.encode("utf-8", "backslashreplace"))

    def _for_people(self, time: str, level: str, event: str, fields: dict[str, Value]) -> str:
        paint = self._paint
        words = [
            paint(time, _DIM),
            f"[{paint(f'{level:<9}', _COLOURS[level] + _BRIGHT)}]",
            paint(f"{event:<30}", _BRIGHT),
            *(f"{paint(name, _CYAN)}={paint(_shown(fields[name]), _MAGENTA)}" for name in sorted(fields)),
        ]
        return " ".join(words).rstrip(" ")

    def _dropped(self, count: int) -> None:
        self.warning("log_lines_dropped", count=count)


def _shown(value: Value) -> str:
    return value if isinstance(value, str) and not _QUOTED & set(value) else repr(value)


def _painted(text: str, style: str) -> str:
    return f"{style}{text}{_RESET}"


def _plain(text: str, _style: str) -> str:
    return text

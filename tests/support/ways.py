"""Traces the functions of Hookcast that one request enters, in the test's own event loop."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hookcast

_ROOT = Path(hookcast.__file__).parent
SERVICES = ("submitter", "dispatcher", "fal", "store", "bus", "push", "wire")
"""Rooms whose functions are steps of a way; everything else only helps."""
VALUES = ("Change.",)
"""Classes of values, whose properties are no steps."""


def _module(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    return path.relative_to(_ROOT).with_suffix("").as_posix() if path.is_relative_to(_ROOT) else None


def _caller(frame: FrameType) -> str | None:
    back = frame.f_back
    while back is not None and _module(back) is None:
        back = back.f_back
    return None if back is None else _module(back)


@contextmanager
def traced(*callers: str) -> Iterator[list[str]]:
    """Collect the functions of other modules in `SERVICES` that the modules `callers` call, in order."""
    found: list[str] = []
    seen: set[FrameType] = set()  # a coroutine's frame is entered again each time it is resumed

    def note(frame: FrameType, event: str, _argument: object) -> None:
        module = _module(frame) if event == "call" else None
        if module is None or module.split("/")[0] not in SERVICES or frame in seen:
            return
        seen.add(frame)
        caller, name = _caller(frame), frame.f_code.co_qualname
        if caller in callers and caller != module and not name.startswith(VALUES):
            found.append(f"{module}.{name.rpartition('.')[2]}")

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)

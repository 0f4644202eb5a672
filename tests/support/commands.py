"""The `hookcast` command as a user starts it: with pipes, or on a pseudo-terminal."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "hookcast")
DEADLINE = 120.0
ROWS, COLUMNS = 30, 100
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Said:
    """Exit code and output of a finished command."""

    code: int
    out: str
    err: str


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this machine's environment without Hookcast's settings, plus `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOOKCAST_", "FAL_KEY"))}
    return {**kept, "TERM": "xterm-256color", **more}


async def hookcast(folder: Path, *arguments: str | bytes, given: str = "", **environment: str) -> Said:
    """Run the command to completion without blocking the event loop."""
    return await _run(folder, *COMMAND, *arguments, given=given, **environment)


async def in_shell(folder: Path, line: str) -> Said:
    """Run the command with the arguments and redirections of a shell's line."""
    return await _run(folder, "sh", "-c", f'"$0" -m hookcast {line}', sys.executable)


async def _run(folder: Path, *arguments: str | bytes, given: str = "", **environment: str) -> Said:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=folder,
        env=clean_environment(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, err = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


class Screen:
    """A command on a terminal. `text` is all output so far, without escape sequences."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self._process = process
        self._fd = fd
        self._drawn = b""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._loop.add_reader(fd, self._read)

    @property
    def text(self) -> str:
        """The output so far, without escape sequences."""
        return _ESCAPES.sub("", self._drawn.decode(errors="replace"))

    @property
    def raw(self) -> bytes:
        """The output so far, as written to the terminal."""
        return self._drawn

    def type(self, keys: bytes) -> None:
        """Write keys to the terminal."""
        os.write(self._fd, keys)

    async def code(self) -> int:
        """Wait for the command to exit, and return the exit code."""
        async with asyncio.timeout(DEADLINE):
            await self._ended
            return await self._process.wait()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # Linux raises EIO once the last process has closed the terminal
            data = b""
        self._drawn += data
        if not data and not self._ended.done():
            self._loop.remove_reader(self._fd)
            self._ended.set_result(None)

    async def close(self) -> None:
        """Kill the command if it still runs, and close the terminal."""
        self._loop.remove_reader(self._fd)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        os.close(self._fd)


async def on_screen(folder: Path, *arguments: str, **environment: str) -> Screen:
    """Start the command in the foreground of a new terminal, so that Ctrl-C reaches it. Close the screen after use."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    own = (
        "import fcntl, os, sys, termios\n"
        "os.setsid()\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", own, *COMMAND, *arguments),
        cwd=folder,
        env=clean_environment(environment),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    return Screen(process, ours)

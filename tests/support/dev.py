"""A `hookcast dev` that can be killed and started again, and its page in Chromium."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from support.clients import DEADLINE, FLAGS, HEADLESS
from support.forked import Forked, Start
from support.ports import quiet_port
from support.server import PLAIN

expect.set_options(timeout=DEADLINE * 1000)


class Dev:
    """`hookcast dev` in a folder of its own, always on the same ports; `command` is another `hookcast` than ours."""

    def __init__(
        self, folder: Path, speed: str, settings: dict[str, str] | None = None, command: Sequence[object] = ()
    ) -> None:
        self._folder = folder
        self._environment = {**os.environ, **(settings or {})}
        ports = ["--port", str(quiet_port()), "--emulator-port", str(quiet_port())]
        self._command = [*map(str, command)]
        self._arguments = ["dev", *ports, "--speed", speed]
        self._process: subprocess.Popen[str] | Forked | None = None
        self.address = ""

    def start(self) -> None:
        """Start it, and wait until it says where its page is, and has its database."""
        self._process = self._begun()
        assert self._process.stdout is not None
        found = next(filter(None, (re.search(r"Demo page\s+(\S+)", line) for line in self._process.stdout)))
        self.address = found.group(1)
        wait_for_database(self.address)

    def _begun(self) -> subprocess.Popen[str] | Forked:
        if not self._command:
            return Forked(Start(self._arguments, self._folder, self._environment, session=True), stderr=2)
        return subprocess.Popen(
            [*self._command, *self._arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Press Ctrl-C: it ends in order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(timeout=DEADLINE) == 0

    def kill(self) -> None:
        """`kill -9`, and what it has started, too."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=DEADLINE)
            assert self._process.stdout is not None
            self._process.stdout.close()


def wait_for_database(address: str) -> None:
    """Wait until the server at this address has its database; it listens before."""
    while httpx.get(f"{address.rstrip('/')}/readyz", timeout=DEADLINE, verify=PLAIN).status_code == 503:
        time.sleep(0.1)


@contextmanager
def running_dev(dev: Dev) -> Iterator[Dev]:
    """Start it, and end it with Ctrl-C, in order."""
    try:
        dev.start()
        yield dev
        dev.stop()
    finally:
        dev.kill()


@contextmanager
def launched() -> Iterator[Browser]:
    """Launch Debian's Chromium, the engine alone; each page is a context of its own."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=HEADLESS, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(dev: Dev, browser: Browser, **options: Any) -> Iterator[Page]:
    """The page for a new visitor, at the width of a phone; it must not report an error or break its own policy."""
    calm = {"viewport": {"width": 390, "height": 844}, "reduced_motion": "reduce"}
    with browser.new_page(**{**calm, **options}) as page:
        page.set_default_timeout(DEADLINE * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(dev.address)
        yield page
        assert errors == []

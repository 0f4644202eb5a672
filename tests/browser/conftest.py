"""A `hookcast dev` that can be killed and started again, and a page in a fresh Chromium."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from support.commands import COMMAND
from support.ports import quiet_port

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DEADLINE = 120.0
expect.set_options(timeout=DEADLINE * 1000)


class Dev:
    """`hookcast dev` in a folder of its own, always on the same ports."""

    def __init__(
        self, folder: Path, speed: str, settings: dict[str, str] | None = None, command: Sequence[str] = COMMAND
    ) -> None:
        self._folder = folder
        self._environment = {**os.environ, **(settings or {})}
        ports = ["--port", str(quiet_port()), "--emulator-port", str(quiet_port())]
        self._command = [*command, "dev", *ports, "--speed", speed]
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    def start(self) -> None:
        """Start it, and wait until it says where its page is."""
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        found = next(filter(None, (re.search(r"Demo page\s+(\S+)", line) for line in self._process.stdout)))
        self.address = found.group(1)

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
            self._process.communicate(timeout=DEADLINE)


@pytest.fixture
def speed() -> str:
    """How much faster than fal the emulated jobs run."""
    return "4"


@pytest.fixture
def settings() -> dict[str, str]:
    """What is set in the environment of `hookcast dev`."""
    return {}


@pytest.fixture
def dev(tmp_path: Path, speed: str, settings: dict[str, str]) -> Iterator[Dev]:
    """A running `hookcast dev`."""
    dev = Dev(tmp_path, speed, settings)
    try:
        dev.start()
        yield dev
        dev.stop()
    finally:
        dev.kill()


@contextmanager
def opened(dev: Dev, **options: Any) -> Iterator[Page]:
    """The page in a fresh browser, at the width of a phone; it must not report an error or break its own policy."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(**{"viewport": {"width": 390, "height": 844}, **options})
        page.set_default_timeout(DEADLINE * 1000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(dev.address)
        yield page
        assert errors == []
        browser.close()


@pytest.fixture
def page(dev: Dev) -> Iterator[Page]:
    """The page, which must never load twice."""
    with opened(dev) as page:
        loads: list[str] = []
        page.on("load", lambda _: loads.append("load"))
        yield page
        assert loads == []

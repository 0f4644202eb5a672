"""The demo page in real Chromium, against `hookcast dev`."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DEADLINE = 30.0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A running `hookcast dev`, four times as fast as fal."""
    ports = ["--port", str(_free_port()), "--emulator-port", str(_free_port())]
    command = [sys.executable, "-m", "hookcast", "dev", *ports, "--speed", "4"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = next(filter(None, (re.search(r"Demo page\s+(\S+)", line) for line in process.stdout)))
        yield found.group(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=DEADLINE) == 0
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    """The page in a fresh browser, at the width of a phone; it must never load twice or report an error."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(DEADLINE * 1000)
        loads: list[str] = []
        errors: list[str] = []
        page.on("load", lambda _: loads.append("load"))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        yield page
        assert (loads, errors) == (["load"], [])
        browser.close()


def test_generate_shows_progress_and_then_plays_the_video(page: Page) -> None:
    """Without a reload: queue or run, then a video whose time moves on."""
    page.get_by_test_id("prompt").fill("a lighthouse in a storm")
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "pending")
    expect(card).to_have_attribute("data-phase", re.compile("queued|running"))
    expect(card.get_by_test_id("log")).not_to_be_empty()
    expect(card).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)
    page.wait_for_function("() => { const v = document.querySelector('video'); return v && v.currentTime > 0.1; }")


def test_two_jobs_at_once_end_each_in_their_own_card(page: Page) -> None:
    """Neither waits for the other."""
    page.get_by_test_id("generate").click()
    expect(page.get_by_test_id("job")).to_have_count(1)
    page.get_by_test_id("generate").click()
    cards = page.get_by_test_id("job")
    expect(cards).to_have_count(2)
    for number in range(2):
        expect(cards.nth(number)).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)

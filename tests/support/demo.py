"""What a person does and sees on the demo page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from support.clients import DEADLINE

MILLISECONDS = re.compile(r"^(< 1|[\d,]+) ms")
UNHURRIED = pytest.mark.parametrize("speed", ["0.5"])
"""16 s a job: on a busy machine, too, a page shows what is on the way to the end."""
SLOW = pytest.mark.parametrize("speed", ["0.1"])


def completed(card: Locator) -> None:
    """Wait until the job of a card has completed."""
    expect(card).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)


def generate(page: Page, fault: str) -> None:
    """Submit a job with a fault."""
    if not page.get_by_test_id("fault").is_visible():
        page.get_by_text("Try a fault").click()
    page.get_by_test_id("fault").select_option(fault)
    page.get_by_test_id("generate").click()


@contextmanager
def another(page: Page) -> Iterator[Page]:
    """The page in another tab, with nothing of this one's."""
    browser = page.context.browser
    assert browser is not None
    fresh = browser.new_page()
    fresh.set_default_timeout(DEADLINE * 1000)
    fresh.goto(page.url)
    yield fresh
    fresh.close()


def live(card: Locator, transport: str) -> None:
    """Wait until the states of a card come by this transport."""
    expect(card).to_have_attribute("data-transport", transport, timeout=2 * DEADLINE * 1000)

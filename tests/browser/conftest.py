"""A running `hookcast dev`, and its page in a fresh Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from support.dev import Dev, launched, opened, running_dev


@pytest.fixture
def speed() -> str:
    """How much faster than fal the emulated jobs run."""
    return "4"


@pytest.fixture
def motion() -> str:
    """Whether the page moves and plays by itself: `reduce`, or `no-preference`, which costs a quarter of a core."""
    return "reduce"


@pytest.fixture
def settings() -> dict[str, str]:
    """What is set in the environment of `hookcast dev`."""
    return {}


@pytest.fixture
def dev(tmp_path: Path, speed: str, settings: dict[str, str]) -> Iterator[Dev]:
    """A running `hookcast dev`."""
    with running_dev(Dev(tmp_path, speed, settings)) as dev:
        yield dev


@pytest.fixture(scope="module")
def launched_chrome() -> Iterator[Browser]:
    """One Chromium for all tests of a module that use Playwright's synchronous API."""
    with launched() as browser:
        yield browser


@pytest.fixture
def chrome(launched_chrome: Browser) -> Iterator[Browser]:
    """A Chromium in which no other test's page is open; each visitor is a context of its own."""
    yield launched_chrome
    for context in launched_chrome.contexts:
        context.close()


@pytest.fixture
def page(dev: Dev, chrome: Browser, motion: str) -> Iterator[Page]:
    """The page, which must never load twice."""
    with opened(dev, chrome, reduced_motion=motion) as page:
        loads: list[str] = []
        page.on("load", lambda _: loads.append("load"))
        yield page
        assert loads == []

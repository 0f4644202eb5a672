"""The jobs of a user, live, in fresh React, Vue and Svelte projects that are built with the packed package."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from support.access import ADMIN, API_KEY, SECRET, token
from support.clients import DEADLINE
from support.demo import UNHURRIED
from support.dev import Dev
from support.ports import quiet_port
from support.projects import serving

pytestmark = pytest.mark.timeout(300)  # two servers and a browser, on a busy machine


@pytest.fixture
def speed() -> str:
    """Fast: what is on the way is not looked at."""
    return "10"


@pytest.fixture(params=["vite", "vue", "svelte"], ids=["React", "Vue", "Svelte"])
def project(request: pytest.FixtureRequest) -> str:
    """The project, by its folder."""
    return str(request.param)


@pytest.fixture
def port() -> int:
    """Where the project is served."""
    return quiet_port()


@pytest.fixture
def settings(port: int) -> dict[str, str]:
    """Hookcast's."""
    return {
        "HOOKCAST_API_KEYS": API_KEY,
        "HOOKCAST_TOKEN_SECRET": SECRET,
        "HOOKCAST_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }


@pytest.fixture
def site(project: str, port: int) -> Iterator[str]:
    """The project's address."""
    with serving(project, port) as address:
        yield address


class User:
    """A signed-in user, with any number of tabs."""

    def __init__(self, chrome: Browser, dev: Dev, site: str, name: str) -> None:
        self._context = chrome.new_context()
        self._context.set_default_timeout(DEADLINE * 1000)
        self._address = f"{site}/?server={dev.address.rstrip('/')}&token={token(sub=name)}"
        self.errors: list[str] = []

    def tab(self) -> Page:
        """Open a tab."""
        page = self._context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(self._address)
        expect(page.get_by_test_id("mine")).to_have_attribute("data-transport", "websocket")
        return page


def _submit(dev: Dev, owner: str) -> str:
    job = {"endpointId": "fal-ai/wan-t2v", "input": {"prompt": "a lighthouse"}, "owner": owner}
    address = f"{dev.address.rstrip('/')}/api/fal-jobs"
    answer: dict[str, Any] = httpx.post(address, headers=ADMIN, json=job, timeout=DEADLINE).raise_for_status().json()
    return str(answer["requestId"])


def _expect_completed(page: Page, *ids: str) -> None:
    """Expect these jobs in this order."""
    jobs = page.get_by_test_id("mine").get_by_role("listitem")
    expect(jobs).to_have_text(list(ids))
    for at in range(len(ids)):
        expect(jobs.nth(at)).to_have_attribute("data-status", "completed")


def test_all_tabs_of_a_user_show_the_same_jobs_and_those_of_others_never(chrome: Browser, dev: Dev, site: str) -> None:
    """New jobs come without a reload, also after the server was killed; a reload begins with a page of the history."""
    one, two = User(chrome, dev, site, "user-1"), User(chrome, dev, site, "user-2")
    tabs = [one.tab(), one.tab()]
    other = two.tab()
    ids = [_submit(dev, "user-1")]
    theirs = _submit(dev, "user-2")
    _expect_completed(other, theirs)  # the emulated fal forgets its jobs with the server
    for tab in tabs:
        _expect_completed(tab, *ids)
        newest = tab.get_by_test_id("newest")
        expect(newest).to_have_text(re.compile(r"\.mp4\s+1$"))
        expect(newest).to_have_attribute("data-polling", "false")
    dev.kill()
    dev.start()
    for _ in range(2):
        ids.insert(0, _submit(dev, "user-1"))
    for tab in tabs:
        _expect_completed(tab, *ids)
    _expect_completed(other, theirs)
    tabs[0].reload()
    _expect_completed(tabs[0], *ids[:2])
    tabs[0].get_by_role("button", name="More").click()
    _expect_completed(tabs[0], *ids)
    assert one.errors + two.errors == []


@UNHURRIED
def test_a_user_cancels_a_job_and_has_it_made_again(chrome: Browser, dev: Dev, site: str) -> None:
    """With what the hook returns; each tab shows the new job, which names the old one."""
    user = User(chrome, dev, site, "user-1")
    tabs = [user.tab(), user.tab()]
    old = _submit(dev, "user-1")
    expect(tabs[0].get_by_test_id("mine").get_by_role("listitem")).to_have_text([old])
    tabs[0].get_by_role("button", name="Cancel").click()
    for tab in tabs:
        expect(tab.get_by_test_id("newest")).to_have_attribute("data-status", "cancelled")
    tabs[1].get_by_role("button", name="Retry").click()
    for tab in tabs:
        jobs = tab.get_by_test_id("mine").get_by_role("listitem")
        expect(jobs).to_have_count(2)
        expect(jobs.nth(0)).to_have_attribute("data-status", "completed")
        expect(jobs.nth(1)).to_have_text(old)
    address = f"{dev.address.rstrip('/')}/api/fal-jobs?owner=user-1"
    made = httpx.get(address, headers=ADMIN, timeout=DEADLINE).raise_for_status().json()["jobs"]
    assert [job["retryOf"] for job in made] == [old, None]
    assert user.errors == []

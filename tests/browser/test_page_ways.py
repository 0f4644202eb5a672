"""The demo page where ways to the server are blocked, cut or gone for a while."""

import re

import pytest
from playwright.sync_api import Page, Response, expect

from support.demo import MILLISECONDS, SLOW, UNHURRIED, completed, live
from support.dev import Dev

LADDER = ["websocket", "sse", "long-poll", "poll"]
WORDS = {"websocket": "WebSocket", "sse": "SSE", "long-poll": "Long-poll", "poll": "Poll"}


@UNHURRIED
@pytest.mark.parametrize("blocked", [1, 2, 3], ids=["websocket", "sse too", "long-poll too"])
def test_a_job_ends_whatever_is_blocked_and_the_page_says_how(page: Page, blocked: int) -> None:
    """What is blocked beforehand is never used."""
    for name in LADDER[:blocked]:
        page.get_by_test_id(f"block-{name}").click()
        expect(page.get_by_test_id(f"block-{name}")).to_be_checked()
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    live(card, LADDER[blocked])
    expect(card).to_have_attribute("data-status", "pending")
    completed(card)
    expect(card).to_have_attribute("data-transport", LADDER[blocked])
    expect(card.get_by_test_id("lag")).to_have_text(MILLISECONDS)
    expect(card.get_by_test_id("transport")).to_contain_text(WORDS[LADDER[blocked]])


@pytest.mark.parametrize("speed", ["0.05"])
def test_each_transport_that_is_cut_is_followed_by_the_next_until_polling_is_told_and_then_all_come_back(
    page: Page,
) -> None:
    """While a job runs: WebSocket, SSE, long-poll, then a request every 3 s (its unit tests count them)."""
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    rungs = page.locator(".rung")
    for place, name in enumerate(LADDER[:3]):
        live(card, name)
        expect(rungs.nth(place)).to_have_attribute("aria-current", "true")
        page.get_by_test_id(f"block-{name}").click()
    live(card, "poll")
    with page.expect_response(_answers_poll):
        expect(notice).to_have_text("Live updates interrupted - checking every 3 s")
        expect(page.get_by_test_id("live")).to_contain_text("States arrive by polling.")
    for name in LADDER[:3]:
        page.get_by_test_id(f"block-{name}").click()
    live(card, "websocket")
    expect(notice).to_be_hidden()
    expect(card).to_have_attribute("data-status", "pending")


@SLOW
def test_offline_is_told_and_the_job_is_found_again_afterwards(page: Page) -> None:
    """As in a tunnel: nothing gets through, and then everything does."""
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    live(card, "websocket")
    page.get_by_test_id("block-network").click()
    expect(notice).to_contain_text("reconnecting")
    page.get_by_test_id("block-network").click()
    live(card, "websocket")
    expect(notice).to_be_hidden()


@SLOW
def test_the_page_finds_its_job_again_after_the_server_was_killed(page: Page, dev: Dev) -> None:
    """It says that updates are interrupted, and goes on by itself when the server is back."""
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    live(card, "websocket")
    dev.kill()
    expect(notice).to_contain_text("reconnecting")
    dev.start()
    live(card, "websocket")
    expect(card).to_have_attribute("data-status", "pending")
    expect(notice).to_be_hidden()


def _answers_poll(response: Response) -> bool:
    return response.request.method == "GET" and re.search(r"/api/fal-jobs/[^/?]+$", response.url) is not None

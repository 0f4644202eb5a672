"""The demo page in real Chromium, against `hookcast dev`."""

import re

import pytest
from playwright.sync_api import Page, Response, expect

from browser.conftest import DEADLINE, Dev


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


def test_a_failed_job_shows_fals_reason(page: Page) -> None:
    """One sentence for people, as an alert, and fal's own error body behind it; there is nothing to play."""
    page.get_by_text("Try a fault").click()
    page.get_by_test_id("fault").select_option("model_error")
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "failed", timeout=DEADLINE * 1000)
    expect(card.get_by_role("alert")).to_have_text("prompt: The emulator was asked for a model error")
    card.get_by_text("fal's own error").click()
    expect(card.get_by_test_id("error-detail")).to_contain_text('"loc"')
    expect(card.locator("video")).to_have_count(0)


@pytest.mark.parametrize("speed", ["0.1"])
def test_a_broken_stream_is_told_and_the_job_polled_until_it_is_back(page: Page) -> None:
    """The page says that it asks every 3 s (its unit tests count them), does so, and goes back to the stream."""
    page.route("**/events", lambda route: route.fulfill(status=503))
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    expect(notice).to_have_text("Live updates interrupted - checking every 3 s")
    expect(card).to_have_attribute("data-transport", "polling")
    for _ in range(2):
        page.wait_for_event("response", _answers_poll)
    page.unroute("**/events")
    expect(card).to_have_attribute("data-transport", "live")
    expect(notice).to_be_hidden()


@pytest.mark.parametrize("speed", ["0.1"])
def test_the_page_finds_its_job_again_after_the_server_was_killed(page: Page, dev: Dev) -> None:
    """It says that nobody answers, and goes on by itself when the server is back."""
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    expect(card).to_have_attribute("data-transport", "live")
    dev.kill()
    expect(notice).to_contain_text("The server does not answer either.")
    dev.start()
    expect(card).to_have_attribute("data-transport", "live")
    expect(card).to_have_attribute("data-status", "pending")
    expect(notice).to_be_hidden()


def test_the_page_can_be_worked_with_the_keyboard_alone(page: Page) -> None:
    """Model, fault and button follow the prompt; an empty prompt starts nothing."""
    page.get_by_test_id("prompt").fill("   ")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_test_id("job")).to_have_count(0)
    expect(page.get_by_test_id("prompt")).to_be_focused()
    reached: list[str] = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.testid ?? document.activeElement.tagName"))
    assert reached == ["model-video", "SUMMARY", "generate"]


def _answers_poll(response: Response) -> bool:
    return response.request.method == "GET" and re.search(r"/api/fal-jobs/[^/?]+$", response.url) is not None

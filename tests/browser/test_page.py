"""The demo page in real Chromium, against `hookcast dev`."""

import json
import re
import subprocess

import pytest
from playwright.sync_api import Browser, Page, expect

from support.clients import DEADLINE
from support.demo import MILLISECONDS, SLOW, UNHURRIED, another, completed, generate, live
from support.dev import Dev, opened

# All heights that each card has had, the newest first.
HEIGHTS = """() => {
  const seen = new Map();
  globalThis.heights = [];
  const look = () => {
    const cards = [...document.querySelectorAll('[data-testid="job"]')];
    for (const card of cards) {
      if (!seen.has(card)) seen.set(card, new Set());
      seen.get(card).add(Math.round(card.getBoundingClientRect().height));
    }
    globalThis.heights = cards.map((card) => seen.get(card));
    requestAnimationFrame(look);
  };
  look();
}"""


def _run(page: Page, name: str, prompt: str | None = None) -> str:
    """Run one of the page's commands in a shell."""
    line = page.get_by_test_id(f"curl-{name}").inner_text()
    assert prompt is None or prompt in line
    command = ["bash", "-euc", line]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout


@UNHURRIED
@pytest.mark.parametrize("motion", ["no-preference"])
def test_generate_shows_progress_and_then_plays_the_video(page: Page) -> None:
    """Without a reload: queue or run, then a video whose time moves on, and how fast the outcome got here."""
    page.get_by_test_id("prompt").fill("a lighthouse in a storm")
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "pending")
    expect(card).to_have_attribute("data-phase", re.compile("queued|running"))
    expect(card.get_by_test_id("log")).not_to_be_empty()
    expect(card.get_by_test_id("transport")).to_contain_text("WebSocket")
    completed(card)
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    page.wait_for_function("() => { const v = document.querySelector('video'); return v && v.currentTime > 0.1; }")
    expect(card.get_by_test_id("lag")).to_have_text(MILLISECONDS)
    expect(card.get_by_test_id("lag")).to_contain_text("From fal's webhook arriving at the server")
    expect(page.get_by_test_id("news")).to_have_text("Job 1 completed.")


def test_two_jobs_at_once_end_each_in_their_own_card(page: Page) -> None:
    page.get_by_test_id("generate").click()
    expect(page.get_by_test_id("job")).to_have_count(1)
    page.get_by_test_id("generate").click()
    cards = page.get_by_test_id("job")
    expect(cards).to_have_count(2)
    for number in range(2):
        completed(cards.nth(number))


def test_a_failed_job_shows_fals_reason(page: Page) -> None:
    """One sentence for people, as an alert, and fal's own error body behind it; there is nothing to play."""
    generate(page, "model_error")
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "failed", timeout=DEADLINE * 1000)
    expect(card.get_by_role("alert")).to_have_text("prompt: The emulator was asked for a model error")
    card.get_by_text("fal's own error").click()
    expect(card.get_by_test_id("error-detail")).to_contain_text('"loc"')
    expect(card.locator("video")).to_have_count(0)


def test_a_failed_job_says_why_above_the_fold_of_a_phone_and_can_be_generated_again(page: Page) -> None:
    """Without scrolling; the new job is one of the same prompt, and nothing goes wrong with it."""
    page.get_by_test_id("prompt").fill("a fox in the snow")
    generate(page, "model_error")
    failed = page.get_by_test_id("job")
    expect(failed).to_have_attribute("data-status", "failed", timeout=DEADLINE * 1000)
    for part in ("error", "again"):
        expect(failed.get_by_test_id(part)).to_be_in_viewport(ratio=1)
    page.get_by_test_id("prompt").fill("something else")
    failed.get_by_test_id("again").click()
    cards = page.get_by_test_id("job")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("a fox in the snow")
    completed(cards.nth(0))
    expect(cards.nth(1)).to_have_attribute("data-status", "failed")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_card_keeps_its_height_and_shows_the_whole_prompt(dev: Dev, chrome: Browser, width: int) -> None:
    """From the button to the end, well or not."""
    prompt = "a fox and a hare " * 30
    with opened(dev, chrome, viewport={"width": width, "height": 844}) as page:
        page.evaluate(HEIGHTS)
        cards = page.get_by_test_id("job")
        page.get_by_test_id("prompt").fill(prompt)
        for number, (fault, status) in enumerate([("none", "completed"), ("model_error", "failed")], start=1):
            generate(page, fault)
            expect(cards).to_have_count(number)
            expect(cards.nth(0)).to_have_attribute("data-status", status, timeout=DEADLINE * 1000)
        title = cards.nth(0).get_by_role("heading")
        expect(title).to_contain_text(prompt.strip())
        assert title.evaluate("title => title.scrollHeight <= title.clientHeight")
        assert page.evaluate("heights.map((seen) => seen.size)") == [1, 1]


@SLOW
def test_a_card_keeps_its_height_while_updates_are_interrupted_and_when_it_is_cancelled(page: Page) -> None:
    """The notice lies over the screen."""
    page.evaluate(HEIGHTS)
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    live(card, "websocket")
    page.get_by_test_id("block-network").click()
    expect(card.get_by_test_id("notice")).to_be_visible()
    page.get_by_test_id("block-network").click()
    card.get_by_test_id("cancel").click()
    expect(card).to_have_attribute("data-status", "cancelled", timeout=DEADLINE * 1000)
    assert page.evaluate("heights.map((seen) => seen.size)") == [1]


def test_a_job_whose_webhook_never_came_shows_no_time_since_it(page: Page) -> None:
    """fal was asked, and the page says so."""
    generate(page, "webhook_lost")
    card = page.get_by_test_id("job")
    completed(card)
    expect(page.get_by_test_id("flow")).to_contain_text("No webhook came, so Hookcast asked fal")
    expect(card.get_by_test_id("elapsed")).to_be_visible()
    expect(card.get_by_test_id("lag")).to_have_count(0)


def test_a_result_keeps_every_digit_and_the_logs_can_be_opened(page: Page) -> None:
    """The emulator's seeds are beyond 2^53."""
    page.get_by_test_id("model-image").check()
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    completed(card)
    expect(card.locator("img")).to_be_visible()
    card.get_by_text("Result as JSON").click()
    result = json.loads(card.get_by_test_id("result").inner_text())
    stored = page.request.get(f"{page.url}api/fal-jobs/{card.get_attribute('data-request-id')}").text()
    assert result["seed"] > 2**53
    assert result == json.loads(stored)["result"]
    with another(page) as fresh:
        fresh.get_by_text("Result as JSON").click()
        expect(fresh.get_by_test_id("result")).to_contain_text(f'"seed": {result["seed"]}')
    card.get_by_test_id("log").click()
    expect(card.get_by_test_id("logs")).to_contain_text("Sampling: 25%")


def test_all_tabs_show_a_job_live_whichever_submitted_it(page: Page) -> None:
    """Without a reload, with its prompt, in the same order; a tab that is opened later, too."""
    with another(page) as other:
        for number, (tab, prompt) in enumerate([(page, "a fox"), (other, "a hare")], start=1):
            tab.get_by_test_id("prompt").fill(prompt)
            tab.get_by_test_id("generate").click()
            for each in (page, other):
                expect(each.get_by_test_id("job")).to_have_count(number)
        with another(page) as late:
            for each in (page, other, late):
                prompts = each.get_by_test_id("job").get_by_role("heading")
                expect(prompts).to_contain_text(["a hare", "a fox"])
                for number in range(2):
                    completed(each.get_by_test_id("job").nth(number))
        expect(other.get_by_test_id("job").nth(1).get_by_test_id("lag")).to_have_text(MILLISECONDS)


def test_older_jobs_come_a_page_at_a_time(page: Page) -> None:
    """The newest ones are there from the start."""
    for number in range(14):
        answer = page.request.put(f"{page.url}api/fal-jobs/job-{number}", data={"owner": "demo"})
        assert answer.status == 201
    with another(page) as fresh:
        expect(fresh.get_by_test_id("job")).to_have_count(12)
        fresh.get_by_test_id("more").click()
        expect(fresh.get_by_test_id("job")).to_have_count(14)
        expect(fresh.get_by_test_id("more")).to_have_count(0)
        expect(fresh.get_by_test_id("job").nth(13)).to_have_attribute("data-request-id", "job-0")


def test_the_commands_of_the_page_submit_watch_and_poll(page: Page) -> None:
    """As they stand; what they submit appears on the page."""
    first = _run(page, "submit", prompt="a lighthouse")
    expect(page.get_by_test_id("job")).to_have_attribute("data-request-id", json.loads(first)["requestId"])
    assert _run(page, "watch").endswith("event: end\nid: end\ndata: {}\n\n")
    assert json.loads(_run(page, "poll"))["status"] == "completed"


@UNHURRIED
def test_a_reload_finds_the_jobs_again_and_measures_nothing_that_was_over(dev: Dev, chrome: Browser) -> None:
    """The one that runs goes on; of the one that had ended the milliseconds would say when the page came."""
    with opened(dev, chrome) as page:
        page.get_by_test_id("prompt").fill("a fox")
        page.get_by_test_id("generate").click()
        card = page.get_by_test_id("job")
        expect(card).to_have_attribute("data-status", "pending")
        page.reload()
        expect(card).to_contain_text("a fox")
        completed(card)
        page.reload()
        completed(card)
        expect(card.locator("video")).to_be_visible()
        expect(card.get_by_test_id("lag")).to_have_text(re.compile("^—"))
        expect(page.locator("[data-wire=events]")).to_have_text("events")


def test_the_page_can_be_worked_with_the_keyboard_alone(page: Page) -> None:
    """Model, fault, button and switches follow the prompt; an empty prompt starts nothing."""
    page.get_by_test_id("prompt").fill("   ")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_test_id("job")).to_have_count(0)
    expect(page.get_by_test_id("prompt")).to_be_focused()
    reached: list[str] = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.testid ?? document.activeElement.tagName"))
    assert reached == ["model-video", "SUMMARY", "generate", "block-websocket", "block-sse"]
    page.keyboard.press("Space")
    expect(page.get_by_role("switch", name="Block SSE")).to_be_checked()


@SLOW
def test_a_job_is_cancelled_by_key_and_the_focus_stays_with_its_card(page: Page) -> None:
    """The button goes away with the job's end."""
    page.get_by_test_id("prompt").press("Control+Enter")
    card = page.get_by_test_id("job")
    card.get_by_test_id("cancel").focus()
    page.keyboard.press("Enter")
    expect(card).to_have_attribute("data-status", "cancelled", timeout=DEADLINE * 1000)
    expect(card.get_by_test_id("cancel")).to_have_count(0)
    expect(card.get_by_role("heading")).to_be_focused()
    expect(page.get_by_test_id("news")).to_have_text("Job 1 cancelled.")
    expect(page.get_by_test_id("flow")).to_have_attribute("data-stage", "cancelled")
    expect(card.get_by_test_id("error")).to_have_count(0)
    expect(card.get_by_test_id("again")).to_be_visible()

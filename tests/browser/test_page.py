"""The demo page in real Chromium, against `hookcast dev`."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Response, Route, expect

from support.clients import DEADLINE
from support.dev import Dev, opened

LADDER = ["websocket", "sse", "long-poll", "poll"]
WORDS = {"websocket": "WebSocket", "sse": "SSE", "long-poll": "Long-poll", "poll": "Poll"}
MILLISECONDS = re.compile(r"^(< 1|[\d,]+) ms")
SLOW = pytest.mark.parametrize("speed", ["0.1"])
KEY = "key-of-the-demo-page"
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


def _completed(card: Locator) -> None:
    expect(card).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)


def _generate(page: Page, fault: str) -> None:
    if not page.get_by_test_id("fault").is_visible():
        page.get_by_text("Try a fault").click()
    page.get_by_test_id("fault").select_option(fault)
    page.get_by_test_id("generate").click()


@contextmanager
def _another(page: Page) -> Iterator[Page]:
    """The page in another tab, with nothing of this one's."""
    browser = page.context.browser
    assert browser is not None
    fresh = browser.new_page()
    fresh.set_default_timeout(DEADLINE * 1000)
    fresh.goto(page.url)
    yield fresh
    fresh.close()


def _run(page: Page, name: str, prompt: str | None = None) -> str:
    """Run one of the page's commands in a shell."""
    line = page.get_by_test_id(f"curl-{name}").inner_text()
    assert prompt is None or prompt in line
    command = ["bash", "-euc", line]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout


def _live(card: Locator, transport: str) -> None:
    expect(card).to_have_attribute("data-transport", transport, timeout=2 * DEADLINE * 1000)


def test_generate_shows_progress_and_then_plays_the_video(page: Page) -> None:
    """Without a reload: queue or run, then a video whose time moves on, and how fast the outcome got here."""
    page.get_by_test_id("prompt").fill("a lighthouse in a storm")
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "pending")
    expect(card).to_have_attribute("data-phase", re.compile("queued|running"))
    expect(card.get_by_test_id("log")).not_to_be_empty()
    expect(card.get_by_test_id("transport")).to_contain_text("WebSocket")
    _completed(card)
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
        _completed(cards.nth(number))


def test_a_failed_job_shows_fals_reason(page: Page) -> None:
    """One sentence for people, as an alert, and fal's own error body behind it; there is nothing to play."""
    _generate(page, "model_error")
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "failed", timeout=DEADLINE * 1000)
    expect(card.get_by_role("alert")).to_have_text("prompt: The emulator was asked for a model error")
    card.get_by_text("fal's own error").click()
    expect(card.get_by_test_id("error-detail")).to_contain_text('"loc"')
    expect(card.locator("video")).to_have_count(0)


def test_a_failed_job_says_why_above_the_fold_of_a_phone_and_can_be_generated_again(page: Page) -> None:
    """Without scrolling; the new job is one of the same prompt, and nothing goes wrong with it."""
    page.get_by_test_id("prompt").fill("a fox in the snow")
    _generate(page, "model_error")
    failed = page.get_by_test_id("job")
    expect(failed).to_have_attribute("data-status", "failed", timeout=DEADLINE * 1000)
    for part in ("error", "again"):
        expect(failed.get_by_test_id(part)).to_be_in_viewport(ratio=1)
    page.get_by_test_id("prompt").fill("something else")
    failed.get_by_test_id("again").click()
    cards = page.get_by_test_id("job")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text("a fox in the snow")
    _completed(cards.nth(0))
    expect(cards.nth(1)).to_have_attribute("data-status", "failed")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_card_keeps_its_height_and_shows_the_whole_prompt(dev: Dev, width: int) -> None:
    """From the button to the end, well or not."""
    prompt = "a fox and a hare " * 30
    with opened(dev, viewport={"width": width, "height": 844}) as page:
        page.evaluate(HEIGHTS)
        cards = page.get_by_test_id("job")
        page.get_by_test_id("prompt").fill(prompt)
        for number, (fault, status) in enumerate([("none", "completed"), ("model_error", "failed")], start=1):
            _generate(page, fault)
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
    _live(card, "websocket")
    page.get_by_test_id("block-network").click()
    expect(card.get_by_test_id("notice")).to_be_visible()
    page.get_by_test_id("block-network").click()
    card.get_by_test_id("cancel").click()
    expect(card).to_have_attribute("data-status", "cancelled", timeout=DEADLINE * 1000)
    assert page.evaluate("heights.map((seen) => seen.size)") == [1]


def test_a_job_whose_webhook_never_came_shows_no_time_since_it(page: Page) -> None:
    """fal was asked, and the page says so."""
    _generate(page, "webhook_lost")
    card = page.get_by_test_id("job")
    _completed(card)
    expect(page.get_by_test_id("flow")).to_contain_text("No webhook came, so Hookcast asked fal")
    expect(card.get_by_test_id("elapsed")).to_be_visible()
    expect(card.get_by_test_id("lag")).to_have_count(0)


def test_a_result_keeps_every_digit_and_the_logs_can_be_opened(page: Page) -> None:
    """The emulator's seeds are beyond 2^53."""
    page.get_by_test_id("model-image").check()
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    _completed(card)
    expect(card.locator("img")).to_be_visible()
    card.get_by_text("Result as JSON").click()
    result = json.loads(card.get_by_test_id("result").inner_text())
    stored = page.request.get(f"{page.url}api/fal-jobs/{card.get_attribute('data-request-id')}").text()
    assert result["seed"] > 2**53
    assert result == json.loads(stored)["result"]
    with _another(page) as fresh:
        fresh.get_by_text("Result as JSON").click()
        expect(fresh.get_by_test_id("result")).to_contain_text(f'"seed": {result["seed"]}')
    card.get_by_test_id("log").click()
    expect(card.get_by_test_id("logs")).to_contain_text("Sampling: 25%")


@pytest.mark.parametrize("speed", ["0.5"])
@pytest.mark.parametrize("blocked", [1, 2, 3], ids=["websocket", "sse too", "long-poll too"])
def test_a_job_ends_whatever_is_blocked_and_the_page_says_how(page: Page, blocked: int) -> None:
    """What is blocked beforehand is never used."""
    for name in LADDER[:blocked]:
        page.get_by_test_id(f"block-{name}").click()
        expect(page.get_by_test_id(f"block-{name}")).to_be_checked()
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    _live(card, LADDER[blocked])
    expect(card).to_have_attribute("data-status", "pending")
    _completed(card)
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
        _live(card, name)
        expect(rungs.nth(place)).to_have_attribute("aria-current", "true")
        page.get_by_test_id(f"block-{name}").click()
    _live(card, "poll")
    with page.expect_response(_answers_poll):
        expect(notice).to_have_text("Live updates interrupted - checking every 3 s")
        expect(page.get_by_test_id("live")).to_contain_text("States arrive by polling.")
    for name in LADDER[:3]:
        page.get_by_test_id(f"block-{name}").click()
    _live(card, "websocket")
    expect(notice).to_be_hidden()
    expect(card).to_have_attribute("data-status", "pending")


@SLOW
def test_offline_is_told_and_the_job_is_found_again_afterwards(page: Page) -> None:
    """As in a tunnel: nothing gets through, and then everything does."""
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    _live(card, "websocket")
    page.get_by_test_id("block-network").click()
    expect(notice).to_contain_text("reconnecting")
    page.get_by_test_id("block-network").click()
    _live(card, "websocket")
    expect(notice).to_be_hidden()


@SLOW
def test_the_page_finds_its_job_again_after_the_server_was_killed(page: Page, dev: Dev) -> None:
    """It says that updates are interrupted, and goes on by itself when the server is back."""
    page.get_by_test_id("generate").click()
    card, notice = page.get_by_test_id("job"), page.get_by_test_id("notice")
    _live(card, "websocket")
    dev.kill()
    expect(notice).to_contain_text("reconnecting")
    dev.start()
    _live(card, "websocket")
    expect(card).to_have_attribute("data-status", "pending")
    expect(notice).to_be_hidden()


def test_all_tabs_show_a_job_live_whichever_submitted_it(page: Page) -> None:
    """Without a reload, with its prompt, in the same order; a tab that is opened later, too."""
    with _another(page) as other:
        for number, (tab, prompt) in enumerate([(page, "a fox"), (other, "a hare")], start=1):
            tab.get_by_test_id("prompt").fill(prompt)
            tab.get_by_test_id("generate").click()
            for each in (page, other):
                expect(each.get_by_test_id("job")).to_have_count(number)
        with _another(page) as late:
            for each in (page, other, late):
                prompts = each.get_by_test_id("job").get_by_role("heading")
                expect(prompts).to_contain_text(["a hare", "a fox"])
                for number in range(2):
                    _completed(each.get_by_test_id("job").nth(number))
        expect(other.get_by_test_id("job").nth(1).get_by_test_id("lag")).to_have_text(MILLISECONDS)


def test_older_jobs_come_a_page_at_a_time(page: Page) -> None:
    """The newest ones are there from the start."""
    for number in range(14):
        answer = page.request.put(f"{page.url}api/fal-jobs/job-{number}", data={"owner": "demo"})
        assert answer.status == 201
    with _another(page) as fresh:
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


def test_a_reload_finds_the_jobs_again_and_measures_nothing_that_was_over(dev: Dev) -> None:
    """The one that runs goes on; of the one that had ended the milliseconds would say when the page came."""
    with opened(dev) as page:
        page.get_by_test_id("prompt").fill("a fox")
        page.get_by_test_id("generate").click()
        card = page.get_by_test_id("job")
        expect(card).to_have_attribute("data-status", "pending")
        page.reload()
        expect(card).to_contain_text("a fox")
        _completed(card)
        page.reload()
        _completed(card)
        expect(card.locator("video")).to_be_visible()
        expect(card.get_by_test_id("lag")).to_have_text(re.compile("^—"))
        expect(page.locator("[data-wire=events]")).to_have_text("events")


@pytest.mark.parametrize("settings", [{"HOOKCAST_API_KEYS": KEY}])
def test_a_server_with_keys_is_asked_with_the_one_that_was_entered(dev: Dev) -> None:
    """The page asks for it, sends the job by itself then, and forgets it with the tab."""
    with opened(dev) as page:
        page.get_by_test_id("generate").click()
        card, field = page.get_by_test_id("job"), page.get_by_test_id("key")
        expect(card.get_by_role("alert")).to_have_text("The server requires an API key.")
        expect(field).to_be_focused()
        field.fill("wrong")
        field.press("Enter")
        expect(card.get_by_role("alert")).to_have_text("The server does not know this key.")
        expect(field).to_be_focused()
        field.fill(KEY)
        field.press("Enter")
        _completed(card)
        expect(field).to_have_count(0)
        page.reload()
        _completed(card)
        assert KEY not in page.content()
        assert page.evaluate("[sessionStorage.getItem('hookcast.key'), localStorage.length]") == [KEY, 0]


REFUSALS: dict[str, tuple[int, dict[str, Any], str]] = {
    "server": (503, {"code": "store_unavailable"}, "The server failed with 503."),
    "input": (422, {"code": "invalid_request", "detail": "input: wrong type"}, "input: wrong type."),
    "rate": (429, {"code": "rate_limited"}, "Too many requests at once."),
    "fal": (
        502,
        {"code": "fal_rejected", "falStatus": 422, "falBody": {"detail": "no"}},
        "fal refused the job with 422.",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_job_that_is_refused_says_why_and_what_to_do(page: Page, name: str) -> None:
    """A request that may succeed later can be sent again, and is one job then."""
    status, body, sentence = REFUSALS[name]

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=status, json=body, content_type="application/problem+json")
        else:
            route.continue_()

    page.route("**/api/fal-jobs", refuse)
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    expect(card.get_by_role("alert")).to_have_text(sentence)
    expect(card.locator(".advice")).to_contain_text(f"({body['code']})")
    page.unroute("**/api/fal-jobs")
    if status == 422:
        expect(card.get_by_test_id("retry")).to_have_count(0)
        return
    card.get_by_test_id("retry").click()
    _completed(card)
    expect(page.get_by_test_id("job")).to_have_count(1)


def test_a_job_that_meets_no_network_can_be_sent_again(page: Page) -> None:
    """Whoever was on the button that goes away is led to the card."""
    page.get_by_test_id("block-network").click()
    page.get_by_test_id("generate").click()
    card = page.get_by_test_id("job")
    expect(card.get_by_role("alert")).to_have_text("The server did not answer.")
    page.get_by_test_id("block-network").click()
    card.get_by_test_id("retry").focus()
    page.keyboard.press("Enter")
    expect(card.get_by_role("heading")).to_be_focused()
    _completed(card)


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


def _answers_poll(response: Response) -> bool:
    return response.request.method == "GET" and re.search(r"/api/fal-jobs/[^/?]+$", response.url) is not None

"""What the demo page says of a job that is refused or meets no network."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from support.demo import completed
from support.dev import Dev, opened

KEY = "key-of-the-demo-page"


@pytest.mark.parametrize("settings", [{"HOOKCAST_API_KEYS": KEY}])
def test_a_server_with_keys_is_asked_with_the_one_that_was_entered(dev: Dev, chrome: Browser) -> None:
    """The page asks for it, sends the job by itself then, and forgets it with the tab."""
    with opened(dev, chrome) as page:
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
        completed(card)
        expect(field).to_have_count(0)
        page.reload()
        completed(card)
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
    completed(card)
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
    completed(card)

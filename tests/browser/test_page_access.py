"""Whether everybody can use the demo page: axe-core's rules (WCAG 2.2 AA and its best practices) in both schemes."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from support.clients import DEADLINE
from support.dev import Dev, opened

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RUN = "async () => (await axe.run()).violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])"
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def _violations(page: Page) -> list[Any]:
    # Not as a script element: the page's policy forbids inline scripts, and this is no part of the page.
    page.evaluate(AXE.read_text())
    found: list[Any] = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += page.evaluate(RUN)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A server that keeps files."""
    return {"HOOKCAST_MEDIA_URL": f"file://{tmp_path}/media"}


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_rule_of_axe_is_broken(dev: Dev, chrome: Browser, viewport: dict[str, int]) -> None:
    """Empty; while files are copied; with jobs in every state, a blocked transport, the field for the key.

    The files of the last job are a video, an image, a link, and one that was left where it is.
    """
    with opened(dev, chrome, viewport=viewport) as page:
        assert _violations(page) == []
        page.get_by_text("Try a fault").click()
        cards = page.get_by_test_id("job")
        for number, fault in enumerate(["none", "model_error", "files"], start=1):
            page.get_by_test_id("fault").select_option(fault)
            page.get_by_test_id("generate").click()
            expect(cards).to_have_count(number)
        expect(cards.nth(0).get_by_test_id("phase")).to_have_text("Copying")
        assert _violations(page) == []
        expect(cards.nth(1)).to_have_attribute("data-status", "failed", timeout=DEADLINE * 1000)
        for done in (cards.nth(0), cards.nth(2)):
            expect(done).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)
        for summary in page.locator("summary:visible").all()[1:]:
            summary.click()
        page.get_by_test_id("block-websocket").click()
        page.route("**/api/fal-jobs", lambda route: route.fulfill(status=401, json={"code": "unauthorized"}))
        page.get_by_test_id("generate").click()
        expect(page.get_by_test_id("key")).to_be_visible()
        page.unroute("**/api/fal-jobs")
        page.get_by_test_id("fault").select_option("webhook_late")
        page.get_by_test_id("generate").click()
        expect(cards.nth(0)).to_have_attribute("data-status", "pending")
        assert _violations(page) == []


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_is_wider_than_a_phone(dev: Dev, chrome: Browser, width: int) -> None:
    """Nobody scrolls sideways, with long words neither."""
    with opened(dev, chrome, viewport={"width": width, "height": 640}) as page:
        page.get_by_test_id("prompt").fill("x" * 200)
        page.get_by_test_id("generate").click()
        expect(page.get_by_test_id("job")).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)
        assert page.evaluate("document.documentElement.scrollWidth") == width


# How far the texts of the diagram, in a line each, are from its neighbours' boxes, in pixels.
ROOM = """() => {
  const boundsOf = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return range.getBoundingClientRect();
  };
  const texts = [...document.querySelectorAll('.wire, .node b')];
  return texts.flatMap((text) => {
    const { previousElementSibling: left, nextElementSibling: right } = text.parentElement;
    const { left: from, right: to } = boundsOf(text);
    const start = left ? left.getBoundingClientRect().right : 0;
    const end = right?.matches('div') ? right.getBoundingClientRect().left : innerWidth;
    return [from - start, end - to];
  });
}"""


FITS = "[...document.querySelectorAll('.node')].every((node) => node.scrollWidth <= node.clientWidth)"


@pytest.mark.parametrize("width", [375, 1280])
def test_the_texts_of_the_diagram_touch_nothing(dev: Dev, chrome: Browser, width: int) -> None:
    with opened(dev, chrome, viewport={"width": width, "height": 844}) as page:
        page.get_by_test_id("generate").click()
        expect(page.get_by_test_id("job")).to_have_attribute("data-status", "completed", timeout=DEADLINE * 1000)
        expect(page.locator("[data-wire=events]")).to_have_text("WebSocket")
        assert min(page.evaluate(ROOM)) >= 4
        assert page.evaluate(FITS)

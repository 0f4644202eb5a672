"""The files of a result on the demo page, while a server copies them and afterwards, in real Chromium."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

MP4, PNG = "video/mp4", "image/png"
FALS = re.compile(r"/media/[^/]+/\d+/output\.\w+$")
OURS = re.compile(r"/media/[^/]+/\d+-[0-9a-f]{16}\.\w+$")
THREE: list[dict[str, Any]] = [
    {"content_type": MP4, "bytes": 1_500_000, "bytes_per_second": 100_000},
    {"content_type": PNG},
    {"content_type": "application/zip", "bytes": 20_000},
]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A server that keeps files."""
    return {"HOOKCAST_MEDIA_URL": f"file://{tmp_path}/media"}


def generate(page: Page, files: list[dict[str, Any]]) -> None:
    """Press the button; the result of the job has these files."""

    def ask(route: Route, request: Request) -> None:
        body = {**json.loads(request.post_data or "")}
        body["input"]["_emulator"] = {"files": files}
        route.continue_(post_data=json.dumps(body))

    page.route("**/api/fal-jobs", ask)
    page.get_by_test_id("generate").click()


def test_files_are_shown_at_once_and_then_the_copies_in_the_same_place(page: Page) -> None:
    """With how far they are; the video goes on playing."""
    generate(page, THREE)
    card = page.get_by_test_id("job")
    gallery, video = card.get_by_test_id("gallery"), card.locator("video")
    expect(card.get_by_test_id("phase")).to_have_text("Copying")
    expect(video).to_have_attribute("src", FALS)
    expect(card.get_by_test_id("position")).to_contain_text("2 of 3 files, ")
    expect(card.get_by_test_id("progress")).to_have_attribute("data-known", "true")
    expect(card.get_by_test_id("cancel")).to_have_count(0)
    expect(page.get_by_test_id("news")).to_have_text("Job 1: copying 3 files.")
    video.evaluate("video => video.play()")
    place = gallery.bounding_box()

    expect(card).to_have_attribute("data-status", "completed")
    expect(card.get_by_test_id("position")).to_have_text("3 files kept")
    shown = [video, card.locator("img"), card.get_by_role("link", name="output.zip")]
    for element, name in zip(shown, ("src", "src", "href"), strict=True):
        expect(element).to_have_attribute(name, OURS)
    page.wait_for_function(
        "() => { const v = document.querySelector('video'); return v.currentTime > 0 && !v.paused; }"
    )
    assert gallery.bounding_box() == place
    assert card.locator("img").evaluate("image => image.naturalWidth") == 640


def test_a_file_that_is_left_where_it_is_says_why(page: Page) -> None:
    """The others are shown."""
    generate(page, [{"content_type": PNG}, {"content_type": PNG, "fault": "web_page"}])
    card = page.get_by_test_id("job")
    expect(card).to_have_attribute("data-status", "completed")
    expect(card.get_by_test_id("position")).to_have_text("1 of 2 kept")
    expect(card.get_by_test_id("troubles")).to_have_text(
        "File 2 (output.png) was left where it is. Files of the type text/html are not kept."
    )
    expect(card.locator("img")).to_have_attribute("src", OURS)
    expect(card).to_contain_text("This image could not be loaded.")

"""The packed package in a fresh Vite project, in real Chromium."""

import re

from playwright.sync_api import Browser, expect

from support.demo import UNHURRIED
from support.dev import Dev
from support.ports import quiet_port
from support.projects import serving


@UNHURRIED
def test_the_hook_and_a_plain_client_work_in_a_vite_build(dev: Dev, chrome: Browser) -> None:
    """StrictMode, another origin than the server's: both show the video, the hook tells of it once."""
    with serving("vite", quiet_port()) as address:
        page = chrome.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/?server={dev.address}")
        page.get_by_role("button", name="Generate").click()
        hook = page.get_by_test_id("hook")
        expect(hook).to_have_attribute("data-polling", "true")
        expect(hook).to_have_attribute("data-transport", "websocket")
        expect(hook).to_have_attribute("data-status", "completed")
        expect(hook).to_have_text(re.compile(r"\.mp4 1$"))
        expect(page.get_by_test_id("plain")).to_contain_text(".mp4")
        assert errors == []

"""The Next.js example as `make` built it, in real Chromium, against `hookcast dev` with API keys."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, WebSocket, expect

from support.access import ADMIN, API_KEY, SECRET
from support.clients import DEADLINE
from support.demo import SLOW, UNHURRIED
from support.dev import Dev
from support.ports import quiet_port
from support.projects import serving

pytestmark = pytest.mark.timeout(300)  # two servers and a browser, on a busy machine
AWAY = "The service does not answer. Please try again in a minute."
WRONG = "Something is wrong on our side. Please try again later."
OFFLINE = "There was no answer. Are you online? Please try again."


@pytest.fixture
def speed() -> str:
    """Fast, where nothing has to be seen on the way."""
    return "10"


@pytest.fixture
def key() -> str:
    """The API key of Hookcast and of the example; empty for a Hookcast without keys."""
    return API_KEY


@pytest.fixture
def port() -> int:
    """Where the example listens."""
    return quiet_port()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, key: str, port: int) -> None:
    """Hookcast's, before it starts."""
    monkeypatch.setenv("HOOKCAST_API_KEYS", key)
    monkeypatch.setenv("HOOKCAST_TOKEN_SECRET", SECRET if key else "")
    monkeypatch.setenv("HOOKCAST_ALLOWED_ORIGINS", f"http://127.0.0.1:{port}" if key else "")


@pytest.fixture
def site(dev: Dev, key: str, port: int) -> Iterator[str]:
    """The example's address."""
    with serving("nextjs", port, HOOKCAST_URL=dev.address, HOOKCAST_API_KEY=key) as address:
        yield address


@pytest.fixture
def page(chrome: Browser, site: str) -> Iterator[Page]:
    """A visitor's page at the width of a phone; it must not report an error."""
    page = _visit(chrome, site)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


def _visit(chrome: Browser, site: str) -> Page:
    page = chrome.new_context(viewport={"width": 390, "height": 844}).new_page()
    page.set_default_timeout(DEADLINE * 1000)
    page.goto(site)
    return page


def _generate(page: Page, prompt: str) -> None:
    page.get_by_label("What should it show?").fill(prompt)
    page.get_by_role("button", name="Generate").click()


def _expect_video(page: Page, prompt: str) -> None:
    card = page.get_by_role("article", name=prompt)
    expect(card).to_have_attribute("data-status", "completed")
    expect(card.locator("video")).to_have_attribute("src", re.compile(r"\.mp4$"))


@UNHURRIED
@pytest.mark.parametrize("key", [API_KEY, ""], ids=["with keys", "without keys"])
def test_a_prompt_becomes_a_video(page: Page) -> None:
    """Progress on the way, without a reload; the form is empty again."""
    _generate(page, "a lighthouse")
    card = page.get_by_role("article", name="a lighthouse")
    expect(card.get_by_role("status")).to_have_text(re.compile("Queued|Running"))
    expect(page.get_by_label("What should it show?")).to_have_value("")
    expect(card.locator(".log")).not_to_be_empty()
    _expect_video(page, "a lighthouse")
    expect(card.get_by_role("status")).to_have_text("Ready")
    page.wait_for_function("() => document.querySelector('video').duration > 0")


@UNHURRIED
def test_no_byte_of_the_api_key_reaches_the_browser(chrome: Browser, site: str) -> None:
    """Not in a document, a script, a request, an answer or a WebSocket; what is searched holds the stream token."""
    traffic = Traffic(chrome.new_page())
    traffic.visit(site)
    _generate(traffic.page, "a lighthouse")
    _expect_video(traffic.page, "a lighthouse")
    texts = traffic.texts
    assert any('"subscribe"' in text and '"token"' in text for text in texts)
    assert any("useSyncExternalStore" in text for text in texts)
    assert any("<h1>" in text for text in texts)
    assert [text for text in texts if API_KEY in text or "HOOKCAST_API_KEY" in text] == []


def test_a_reload_finds_the_jobs_and_a_stranger_does_not(page: Page, chrome: Browser, site: str) -> None:
    """A job goes on while nobody looks; it is its owner's alone."""
    _generate(page, "a lighthouse")
    expect(page.get_by_role("article", name="a lighthouse")).to_be_visible()
    page.reload()
    _expect_video(page, "a lighthouse")
    stranger = _visit(chrome, site)
    _generate(stranger, "a windmill")
    expect(stranger.get_by_role("article")).to_have_count(1)


@pytest.fixture
def _keeping(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hookcast keeps the files of results."""
    monkeypatch.setenv("HOOKCAST_MEDIA_URL", f"file://{tmp_path}/media")


@pytest.mark.usefixtures("_keeping")
def test_a_video_can_be_watched_while_it_is_saved_and_is_not_interrupted_then(page: Page, dev: Dev) -> None:
    """A reload shows the copy."""
    _generate(page, "a lighthouse")
    expect(page.get_by_role("article", name="a lighthouse")).to_be_visible()
    _submit_too(dev, "a windmill", {"files": [{"bytes": 2_000_000, "bytes_per_second": 100_000}]})
    page.reload()
    card = page.get_by_role("article", name="a windmill")
    expect(card.get_by_role("progressbar", name="The video is being saved")).to_be_visible()
    expect(card.locator("video")).to_have_attribute("src", re.compile(r"/0/output\.mp4$"))
    expect(card).to_have_attribute("data-status", "completed")
    expect(card.locator("video")).to_have_attribute("src", re.compile(r"/0/output\.mp4$"))
    page.reload()
    expect(card.locator("video")).to_have_attribute("src", re.compile(r"/0-[0-9a-f]{16}\.mp4$"))


def test_a_server_that_is_away_is_told_and_the_prompt_kept(page: Page, dev: Dev) -> None:
    """When it is back the same prompt makes one job."""
    dev.kill()
    _generate(page, "a lighthouse")
    expect(page.get_by_role("alert").first).to_have_text(AWAY)
    dev.start()
    page.get_by_role("button", name="Generate").click()
    _expect_video(page, "a lighthouse")
    assert len(_jobs(dev)) == 1


def test_a_second_tab_shows_the_jobs_of_the_first_without_a_reload(page: Page, site: str) -> None:
    """Also while both are open, and each job once."""
    _generate(page, "a lighthouse")
    _expect_video(page, "a lighthouse")
    second = page.context.new_page()
    second.goto(site)
    _expect_video(second, "a lighthouse")
    _generate(second, "a windmill")
    for tab in (page, second):
        _expect_video(tab, "a windmill")
        expect(tab.get_by_role("article")).to_have_count(2)


def test_a_proxys_page_in_place_of_the_jobs_leaves_the_form_to_its_visitor(page: Page, dev: Dev) -> None:
    """What stands before Hookcast may answer for it, with 200. The jobs come by themselves when Hookcast is back."""
    _generate(page, "a lighthouse")
    expect(page.get_by_role("article", name="a lighthouse")).to_be_visible()
    dev.kill()
    with _answering_pages(dev):
        page.reload()
        expect(page.get_by_role("alert").first).to_have_text(WRONG)
        expect(page.get_by_label("What should it show?")).to_be_visible()
    dev.start()
    expect(page.get_by_role("article", name="a lighthouse")).to_be_visible()


@SLOW
def test_a_job_is_cancelled_by_its_owner_and_by_nobody_else(page: Page, chrome: Browser, site: str, dev: Dev) -> None:
    """A stranger who sends the very same request is told that there is no such job."""
    _generate(page, "a lighthouse")
    cancel = page.get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible()
    page.route(site, lambda route: route.abort())
    with page.expect_request(lambda request: "next-action" in request.headers) as caught:
        cancel.click()
    expect(page.get_by_role("article").get_by_role("alert")).to_have_text(OFFLINE)
    page.unroute(site)
    stranger = _visit(chrome, site)
    _generate(stranger, "a windmill")
    expect(stranger.get_by_role("article")).to_have_count(1)
    sent = caught.value
    theirs = {name: value for name, value in sent.headers.items() if name != "cookie"}
    answer = stranger.request.post(sent.url, headers=theirs, data=sent.post_data_buffer)
    assert "is not there any more" in answer.text()
    assert [job["status"] for job in _jobs(dev)] == ["pending", "pending"]
    cancel.click()
    expect(page.get_by_role("article")).to_have_attribute("data-status", "cancelled")


def test_a_video_that_failed_is_made_again(page: Page, dev: Dev) -> None:
    """From the input that Hookcast has kept; the new job names the old one."""
    _generate(page, "a lighthouse")
    _expect_video(page, "a lighthouse")
    _submit_too(dev, "a windmill", {"faults": ["model_error"], "once": True})
    cards = page.get_by_role("article", name="a windmill")
    expect(cards).to_have_attribute("data-status", "failed")
    cards.get_by_role("button", name="Try again").click()
    expect(cards).to_have_count(2)
    expect(cards.first).to_have_attribute("data-status", "completed")
    new, old, _ = _jobs(dev)
    assert new["retryOf"] == old["requestId"]


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer with a page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>Back soon</html>")

    do_POST = do_GET  # noqa: N815 - http.server wants it


@contextmanager
def _answering_pages(dev: Dev) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", int(dev.address.rstrip("/").rpartition(":")[2])), _Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _jobs(dev: Dev) -> list[dict[str, object]]:
    answer = httpx.get(f"{dev.address.rstrip('/')}/api/fal-jobs", headers=ADMIN, timeout=DEADLINE)
    found: list[dict[str, object]] = answer.raise_for_status().json()["jobs"]
    return found


def _submit_too(dev: Dev, prompt: str, wishes: dict[str, object]) -> None:
    """Submit another job of the one user, with these wishes to the emulator."""
    [first] = _jobs(dev)
    facts = {"owner": first["owner"], "metadata": {"prompt": prompt}}
    job = {"endpointId": first["endpointId"], "input": {"prompt": prompt, "_emulator": wishes}, **facts}
    httpx.post(f"{dev.address.rstrip('/')}/api/fal-jobs", headers=ADMIN, json=job, timeout=DEADLINE).raise_for_status()


class Traffic:
    """All that goes between a page and any server, but for the media: addresses, heads, bodies, messages."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.texts: list[str] = []
        page.route("**/*", self._pass)
        page.on("websocket", self._listen)

    def visit(self, url: str) -> None:
        """Go there. The document is not taken apart: Chromium keeps one that a test handed to it away from loopback."""
        opened = self.page.goto(url)
        assert opened is not None
        self.texts.append(f"{opened.all_headers()} {opened.text()}")

    def _pass(self, route: Route) -> None:
        sent = route.request
        if sent.resource_type in {"document", "media"}:
            return route.continue_()
        self.texts.append(f"{sent.url} {sent.all_headers()} {sent.post_data_buffer!r}")
        got = route.fetch()
        self.texts.append(f"{got.headers} {got.text()}")
        return route.fulfill(response=got)

    def _listen(self, socket: WebSocket) -> None:
        self.texts.append(socket.url)
        socket.on("framesent", self._hear)
        socket.on("framereceived", self._hear)

    def _hear(self, frame: bytes | str) -> None:
        self.texts.append(str(frame))

"""Kept files in Chromium: a video plays and seeks, from a directory and by a presigned link into a private bucket."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Response

from support.buckets import CREDENTIALS, running_moto
from support.emulated import emulated_fal
from support.keeping import MP4, ended, keeper, submit
from support.server import Node

pytestmark = pytest.mark.anyio
BYTES = 6_000_000
SEEK = """async ([link]) => {
    const video = document.createElement("video");
    video.muted = true;
    const event = (name) => new Promise((resolve, reject) => {
        video.addEventListener(name, resolve, { once: true });
        video.addEventListener("error", () => reject(new Error(video.error?.message)), { once: true });
    });
    const loaded = event("loadeddata");
    video.src = link;
    document.body.append(video);
    await loaded;
    const sought = event("seeked");
    video.currentTime = video.duration / 2;
    await sought;
    const begun = event("timeupdate");
    await video.play();
    await begun;
    return [video.videoWidth, video.currentTime >= video.duration / 2];
}"""


@pytest.fixture(params=["directory", "bucket"])
async def node(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Node]:
    """A server that keeps files."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with running_moto() as bucket:
        where = {"media_url": bucket.url(secrets.token_hex(8))} if request.param == "bucket" else {}
        async with emulated_fal(speed=100) as fal_url, keeper(fal_url, database_url, tmp_path, **where) as running:
            yield running


async def test_a_kept_video_plays_and_seeks(node: Node, browser: Browser) -> None:
    state = await ended(node, await submit(node, {"content_type": MP4, "bytes": BYTES}))
    [file] = state["media"]
    answers: list[Response] = []
    async with await browser.new_context() as context:
        page = await context.new_page()
        page.on("response", lambda answer: answers.append(answer) if answer.url == file["url"] else None)
        await page.goto(f"{node.url}/healthz")
        assert await page.evaluate(SEEK, [file["url"]]) == [640, True]
    assert {answer.status for answer in answers} == {206}

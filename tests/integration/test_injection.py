"""Text that others wrote stays text: in event streams, response headers, logs and on the page."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser

from support.fal import ENDPOINT
from support.fuzz import complaints, fuzzing
from support.raw import events, raw
from support.server import Node

pytestmark = pytest.mark.anyio
EVIL = "\r\n\r\nevent: end\nid: end\ndata: {}\n\n\0\u2028\u2029\u0085</script><img src=x onerror=alert(1)>\x1b[31m"
NESTED = "[" * 150 + "]" * 150


@pytest.mark.parametrize("field", ["payload", "error", "metadata"])
async def test_what_a_job_carries_is_one_event(node: Node, field: str) -> None:
    """Line breaks, NUL, separators and a megabyte of them arrive as the text that they are."""
    text = EVIL + "\r\n" * 500_000 if field == "payload" else EVIL
    if field == "metadata":
        await node.register("job-1", metadata={EVIL: EVIL})
        await node.post_webhook(node.fal.webhook("job-1"))
    elif field == "payload":
        await node.post_webhook(node.fal.webhook("job-1", payload={text: text, "deep": json.loads(NESTED)}))
    else:
        await node.post_webhook(node.fal.webhook("job-1", status="ERROR", error=text, payload=None))
    async with raw(node) as client:
        await client.send(events("job-1"))
        _, _, body = (await client.rest()).partition(b"\r\n\r\n")
    lines = body.decode().splitlines()  # also at U+0085, U+2028 and U+2029, which SSE does not know
    told = body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert [line.partition(":")[0] for line in told if line] == ["retry", "id", "event", "data", "event", "id", "data"]
    assert len(lines) >= len([line for line in told if line])
    job: dict[str, Any] = json.loads(told[3].removeprefix("data: "))
    if field == "metadata":
        assert job["metadata"] == {EVIL: EVIL}
    elif field == "payload":
        assert text in job["result"]
    else:  # a sentence: in one line, without control characters
        assert job["error"] == "event: end id: end data: {} \ufffd </script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize("escaped", ["\\ud800", "\\udc00\\ud800"])
async def test_no_lone_surrogate_reaches_a_client(node: Node, escaped: str) -> None:
    """It is no text that UTF-8 could carry: in a result it is replaced, so that the outcome is kept, else refused."""
    result, name = (node.fal.webhook("job-1", payload="HERE"), node.fal.webhook("HERE"))
    assert (await node.post_webhook(result.replace(b"HERE", escaped.encode()))).status_code == 200
    job = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert job["result"] == "\ufffd" * escaped.count("u")
    answer = await node.post_webhook(name.replace(b"HERE", escaped.encode()))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    facts = f'{{"owner":"{escaped}"}}'.encode()
    assert (await node.client.put("/api/fal-jobs/job-2", content=facts)).status_code == 422


async def test_no_name_gets_a_line_break_into_a_header(node: Node) -> None:
    """Neither by its path nor by fal's answer to a submit."""
    for evil in ("a\r\nX-Evil: 1", "a\n", "\u2028", "a\0b"):
        answer = await node.client.put(f"/api/fal-jobs/{quote(evil, safe='')}", json={})
        assert answer.status_code == 400
        node.fal.script(ENDPOINT, httpx.Response(200, json={"request_id": evil}))
        answer = await node.submit()
        assert answer.status_code == 502
        assert "x-evil" not in answer.headers


async def test_a_name_beyond_ascii_is_submitted_and_its_location_can_be_followed(node: Node) -> None:
    """A header holds ASCII: the path is percent-encoded (RFC 3986 section 2.1)."""
    node.fal.script(ENDPOINT, httpx.Response(200, json={"request_id": "cat \U0001f408?#%"}))
    answer = await node.submit()
    assert answer.status_code == 202
    assert (await node.client.get(answer.headers["location"])).json()["requestId"] == "cat \U0001f408?#%"
    assert (await node.client.get(answer.json()["links"]["status"])).status_code == 200


async def test_each_record_of_the_log_is_one_line(tmp_path: Path) -> None:
    """JSON, whatever the request had in it."""
    async with fuzzing("log", tmp_path, []) as fuzz, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{fuzz.server.port}"
        for evil in ("a\r\nb", "\u2028", "</script>", "\x1b[31m"):
            await client.get(f"{url}/api/{quote(evil)}")
            await client.post(f"{url}/api/webhooks/fal", headers={"x-fal-webhook-user-id": quote(evil)}, content=evil)
        assert not list(complaints(fuzz.server))
        lines = fuzz.server.log.read_text().split("\n")
    assert all(isinstance(json.loads(line), dict) for line in lines if line)


async def test_the_page_shows_what_fal_says_as_text(node: Node, browser: Browser) -> None:
    """In real Chromium: nothing of it becomes an element, and nothing runs."""
    evil = "</script><img src=x onerror='window.ran=1'><script>window.ran=1</script>"
    async with await browser.new_page() as page:
        await page.goto(node.url)
        node.fal.script("video", httpx.Response(200, json={"request_id": "job-1"}))
        await page.get_by_test_id("prompt").fill(evil)
        await page.get_by_test_id("generate").click()
        card = page.get_by_test_id("job")
        await card.wait_for()
        await asyncio.wait_for(_known(node), 20)
        failed = {"detail": [{"msg": evil, "loc": ["body", evil], "type": evil}]}
        await node.post_webhook(node.fal.webhook("job-1", status="ERROR", error=evil, payload=failed))
        await page.wait_for_selector("[data-status=failed]")
        assert evil in (await card.get_by_role("alert").inner_text())
        assert await page.locator("img[src=x]").count() == 0
        assert await page.evaluate("window.ran") is None


async def _known(node: Node) -> None:
    while (await node.client.get("/api/fal-jobs/job-1?wait=1")).status_code != 200:
        pass

"""The demo page's files, also when nobody has built them."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from hookcast import problems
from hookcast.routes.pages import Pages

pytestmark = pytest.mark.anyio


def _client(folder: Path) -> httpx.AsyncClient:
    handlers = {HTTPException: problems.on_http_error}
    app = Starlette(routes=[Mount("/", Pages(folder))], exception_handlers=handlers)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://page.test")


async def test_without_a_built_page_the_server_says_how_to_build_it(tmp_path: Path) -> None:
    """And any other unknown path stays a plain 404."""
    async with _client(tmp_path / "nothing") as client:
        built = [await client.get(path) for path in ("/", "/hookcast.js", "/hookcast.tgz")]
        other = await client.get("/api/nothing")
    for answer in built:
        assert (answer.status_code, answer.json()["code"]) == (404, "page_not_built")
        assert "make run" in answer.json()["detail"]
    assert (other.status_code, other.json()["code"]) == (404, "not_found")


async def test_the_page_may_load_only_its_own_scripts(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>Hookcast</title>")
    async with _client(tmp_path) as client:
        answer = await client.get("/")
        missing = await client.get("/missing.js")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert missing.status_code == 404


async def test_pages_of_any_origin_may_load_the_library_and_get_the_newest(tmp_path: Path) -> None:
    """As a module script, and what it loads; other files stay the page's own."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Hookcast</title>")
    for name in ("hookcast.js", "hookcast-tabs-1a2b3c.js"):
        (tmp_path / name).write_text("export {};")
    async with _client(tmp_path) as client:
        page = await client.get("/")
        library, part = await client.get("/hookcast.js"), await client.get("/hookcast-tabs-1a2b3c.js")
    for script in (library, part):
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["access-control-allow-origin"] == "*"
    assert library.headers["cache-control"] == "no-cache"
    assert "immutable" in part.headers["cache-control"]
    assert "access-control-allow-origin" not in page.headers


async def test_the_npm_package_is_an_archive_that_is_asked_for_anew(tmp_path: Path) -> None:
    """Its bytes come as they are, and only when they have changed."""
    (tmp_path / "hookcast.tgz").write_bytes(b"an archive")
    async with _client(tmp_path) as client:
        answer = await client.get("/hookcast.tgz")
        head = await client.head("/hookcast.tgz")
        same = await client.get("/hookcast.tgz", headers={"If-None-Match": answer.headers["etag"]})
        put = await client.put("/hookcast.tgz")
    assert (answer.status_code, answer.content) == (200, b"an archive")
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", answer.headers["etag"])
    assert "content-type" not in same.headers
    assert put.status_code == 405

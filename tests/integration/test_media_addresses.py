"""Results that name addresses of our own network: nothing is asked there, and the job is completed as it is."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fal import ENDPOINT, FalDouble
from support.forbidden import RESOLVED, WRITTEN
from support.server import DEADLINE, Node, running_node

pytestmark = pytest.mark.anyio
REFUSED = "Hookcast does not fetch from this address: "
INSIDE = "cdn.fal.media"  # resolves to loopback
PORTS = ("{port}", "443", "80")
FORMS = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.1.", "0.0.0.0", "0"),  # noqa: S104
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1]"),
    *("localhost", "LOCALHOST.", "a.localhost", "169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal"),
    *("10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "user:pass@127.0.0.1", "fal.media@127.0.0.1", INSIDE),
    *("\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "\u24dbocalhost"),
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What must hear nothing."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        found.setblocking(False)
        yield found


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Where copies have connected to; and a name of the internet that leads to loopback."""
    found: list[object] = []
    connect, resolve = socket.create_connection, socket.getaddrinfo

    def recorded(address: Any, *arguments: Any, **options: Any) -> socket.socket:
        found.append(address)
        return connect(address, *arguments, **options)

    def resolved(host: Any, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == INSIDE else host, *arguments, **options)

    monkeypatch.setattr("hookcast.media.fetching.socket.create_connection", recorded)
    monkeypatch.setattr("hookcast.media.fetching.socket.getaddrinfo", resolved)
    return found


def forbidden(port: int) -> list[str]:
    """URLs of our own network, in all their forms."""
    ours = [f"https://{form}:{each.format(port=port)}/latest/meta-data" for form in FORMS for each in PORTS]
    ours += [f"http://{form}:{port}/" for form in FORMS] + [f"https://{form}/a.png" for form in FORMS]
    return list(dict.fromkeys([*ours, *WRITTEN, *(f"https://{_host(address)}/" for address in RESOLVED)]))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


async def completed(node: Node, urls: list[str]) -> dict[str, Any]:
    """Send a webhook whose result names the URLs; return the job at its end."""
    await node.register("job-1", endpointId=ENDPOINT)
    body = node.fal.webhook("job-1", payload={"videos": [{"url": url, "content_type": "video/mp4"} for url in urls]})
    assert (await node.post_webhook(body)).status_code == 200
    async with asyncio.timeout(DEADLINE):
        version = 0
        while True:
            answer = await node.client.get(f"/api/fal-jobs/job-1?wait=30&version={version}")
            state: dict[str, Any] = json.loads(answer.content)
            if state["status"] != "pending":
                return state
            version = state["version"]


async def test_no_request_leaves_for_an_address_that_is_not_public(
    database_url: str, tmp_path: Path, listener: socket.socket, connections: list[object]
) -> None:
    urls = forbidden(listener.getsockname()[1])
    async with running_node(FalDouble(), database_url=database_url, media_url=f"file://{tmp_path}/media") as node:
        state = await completed(node, urls)
    assert connections == []
    with pytest.raises(BlockingIOError):
        listener.accept()
    told = {file["source"]: file for file in state["media"]}
    assert len(told) > 100
    for file in told.values():
        assert (file["status"], file["url"], file["error"][: len(REFUSED)]) == ("left", None, REFUSED), file
    assert state["status"] == "completed"
    assert [video["url"] for video in state["result"]["videos"]] == urls
    assert not (tmp_path / "media").exists() or not any((tmp_path / "media").rglob("*.*"))


async def test_what_is_no_url_at_all_is_not_told(database_url: str, tmp_path: Path) -> None:
    """Other schemes, and text around a URL."""
    others = ["file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "see https://127.0.0.1/", "//127.0.0.1/"]
    async with running_node(FalDouble(), database_url=database_url, media_url=f"file://{tmp_path}/media") as node:
        state = await completed(node, others)
    assert (state["status"], state["media"]) == ("completed", [])

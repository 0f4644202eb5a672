"""The ways of a webhook and of a submit are those that docs/architecture.md lists."""

import json
import re
from pathlib import Path

import httpx
import pytest

from support.fal import FalDouble
from support.server import running_node
from support.ways import traced

pytestmark = pytest.mark.anyio

ARCHITECTURE = Path(__file__).parents[2] / "docs/architecture.md"


def _documented(of_what: str) -> list[str]:
    section = ARCHITECTURE.read_text().partition(f"### The way of a {of_what}\n")[2].partition("\n#")[0]
    return re.findall(r"^\d+\. `([\w/.]+)`", section, re.MULTILINE)


def modules_once(way: list[str]) -> list[str]:
    """Return the modules of the way, each of which is entered once."""
    modules = [step.rpartition(".")[0] for step in way]
    assert len(set(modules)) == len(modules)
    return modules


async def test_a_webhook_goes_the_documented_way_through_seven_modules(fal: FalDouble, database_url: str) -> None:
    def webhook(request_id: str) -> bytes:
        return json.dumps({"request_id": request_id, "status": "OK", "payload": {}}).encode()

    async with running_node(fal, database_url=database_url) as node:
        await node.post_webhook(webhook("job-0"))  # fetches fal's keys
        with traced("routes/webhooks", "dispatcher") as way:
            assert (await node.post_webhook(webhook("job-1"))).status_code == 200
    assert way == _documented("webhook")
    assert len(modules_once(way)) == 6  # and the route


async def test_a_submit_goes_the_documented_way(fal: FalDouble, database_url: str) -> None:
    fal.script("dev", httpx.Response(200, json={"request_id": "job-1", "status": "IN_QUEUE"}))
    async with running_node(fal, database_url=database_url) as node:
        with traced("routes/submit", "submitter", "dispatcher") as way:
            assert (await node.submit()).status_code == 202
    assert way == _documented("submit")
    modules_once(way)

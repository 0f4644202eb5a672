"""A job that failed, and its retries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import httpx

from support.access import ADMIN, SETTINGS, token
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node

INPUT = b'{"seed": 9007199254740993, "scale": 1.0, "prompt":\t"\\ud83d\\ude00 secret-prompt \\u0000 \xc3\xa9"}'
BODY = b'{"endpointId": "%b", "input": %b, "owner": "user-1", "group": "g", "metadata": {"n": 1.0}, "options": %b}' % (
    ENDPOINT.encode(),
    INPUT,
    b'{"priority": "low", "startTimeoutSeconds": 30}',
)
OWNER = {"Authorization": f"Bearer {token(sub='user-1')}"}
PATH = "/api/fal-jobs/job-1/retry"


class NumberingFal(FalDouble):
    """Takes every submit as the next of job-1, job-2 and so on."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's way in."""
        answer = await super().handle_async_request(request)
        if request.url.path != f"/{ENDPOINT}" or answer.status_code != 404:
            return answer
        name = f"job-{next(self.numbers)}"
        return httpx.Response(200, json={"request_id": name, "response_url": f"https://queue.fal.test/{name}"})

    @property
    def submits(self) -> list[httpx.Request]:
        """The submits so far."""
        return self.asked(f"/{ENDPOINT}")


@asynccontextmanager
async def keeping(fal: FalDouble, url: str, **settings: Any) -> AsyncIterator[Node]:
    """A server with keys and tokens that keeps inputs."""
    async with running_node(fal, database_url=url, **{**SETTINGS, "keep_inputs": True, **settings}) as node:
        yield node


async def fail(node: Node) -> None:
    """Submit job-1, which fails."""
    headers = {**ADMIN, "Content-Type": "application/json"}
    assert (await node.client.post("/api/fal-jobs", content=BODY, headers=headers)).status_code == 202
    await end(node, "job-1")


async def end(node: Node, name: str) -> None:
    """Have fal report that the job failed."""
    await node.post_webhook(node.fal.webhook(name, status="ERROR", error="no"))


async def retry(node: Node, headers: dict[str, str] = OWNER, path: str = PATH) -> httpx.Response:
    """Retry job-1."""
    return await node.client.post(path, headers=headers)


async def told(node: Node, name: str) -> list[dict[str, Any]]:
    """The journal of a job, with the lines that no change wrote."""
    await node.services.scribe.write()
    entries: list[dict[str, Any]] = (await node.client.get(f"/api/fal-jobs/{name}/journal", headers=ADMIN)).json()[
        "entries"
    ]
    return entries

"""Durable work of a node that dies or hangs is done by another."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hookcast.upkeep.worker import LEASE_SECONDS
from support.chaos import Chaos, sized
from support.fal import ENDPOINT, sign
from support.falhost import running_falhost
from support.served import Served

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(sized(300, 600))]
DEADLINE = sized(280, 560)
JOBS = sized(20, 60)  # fewer than are fetched at once
TAKEN_OVER_SECONDS = LEASE_SECONDS + 10.0


class _Fal:
    """fal's results: node `one` waits for them as long as `gate` is closed, and node `two` gets them."""

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {"one": [], "two": []}
        self.gate = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Answer a request for a result."""
        node, *_, job = request.url.path.strip("/").split("/")
        self.asked[node].append(job)
        if node == "one":
            await self.gate.wait()
        return JSONResponse({"job": job, "from": node})


@asynccontextmanager
async def _nodes(chaos: Chaos, database: str, fal: _Fal) -> AsyncIterator[dict[str, Served]]:
    """Two nodes, each with a fal address of its own; the second is not started yet."""
    async with running_falhost(chaos.key, fal.answer) as urls, AsyncExitStack() as stack:
        nodes = {}
        for name in fal.asked:
            own = {"fal_queue_url": f"{urls['fal_queue_url']}/{name}", "fal_jwks_url": urls["fal_jwks_url"]}
            settings = {"database_url": database, "fal_key": "any", **own}
            nodes[name] = Served(chaos.folder, settings)
            stack.push_async_callback(nodes[name].kill)
        await nodes["one"].start()
        yield nodes


async def _finished(chaos: Chaos, port: int, name: str) -> None:
    """Register the job, and send a webhook that could not carry its result."""
    facts = json.dumps({"endpointId": ENDPOINT}).encode()
    assert (await chaos.web.settled(port, "PUT", f"/api/fal-jobs/{name}", body=facts))[0] in {200, 201}
    webhook = {"request_id": name, "status": "OK", "payload": None, "payload_error": "too large"}
    body = json.dumps(webhook).encode()
    headers = sign(body, chaos.key, request_id=name)
    assert (await chaos.web.request(port, "POST", "/api/webhooks/fal", headers=headers, body=body))[0] == 200


async def _job(chaos: Chaos, port: int, name: str) -> dict[str, object]:
    """The job at its end."""
    while True:
        path = f"/api/fal-jobs/{name}"
        job: dict[str, object] = json.loads((await chaos.web.settled(port, "GET", path))[1])
        if job["status"] != "pending":
            return job
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", sized(["killed"], ["killed", "frozen"]))
async def test_results_that_a_node_was_fetching_are_fetched_by_another(
    chaos: Chaos, postgres_url: str, how: str
) -> None:
    """Each once; one that was only frozen comes too late with its own, which changes nothing."""
    fal, names = _Fal(), [f"job-{number}" for number in range(JOBS)]
    clock = asyncio.get_running_loop().time
    async with asyncio.timeout(DEADLINE), _nodes(chaos, postgres_url, fal) as nodes:
        for name in names:
            await _finished(chaos, nodes["one"].port, name)
        while len(fal.asked["one"]) < JOBS:  # noqa: ASYNC110 - what another process does
            await asyncio.sleep(0.02)
        await nodes["two"].start()
        began = clock()
        await (nodes["one"].kill() if how == "killed" else asyncio.to_thread(nodes["one"].freeze))
        jobs = [await _job(chaos, nodes["two"].port, name) for name in names]
        took = clock() - began
        fal.gate.set()
        if how == "frozen":
            nodes["one"].thaw()
            await nodes["one"].healthy(chaos.web)
            assert [await _job(chaos, nodes["one"].port, name) for name in names] == jobs
        await nodes["two"].stop()
        complaints = [line for node in nodes.values() for line in node.complaints()]
    chaos.note(f"  {JOBS} results, fetched by the other node within {took:.1f} s")
    assert [job["result"] for job in jobs] == [{"job": name, "from": "two"} for name in names]
    assert sorted(fal.asked["two"]) == sorted(names)
    assert complaints == []
    assert took <= TAKEN_OVER_SECONDS

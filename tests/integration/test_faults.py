"""Every fault the emulator can play, through a whole server: the job ends right, and once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.emulated import emulated_fal
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


@pytest.fixture
async def emulator() -> AsyncIterator[str]:
    """The URL of an emulated fal, forty times as fast as fal."""
    async with emulated_fal(speed=40) as url:
        yield url


@pytest.fixture
async def whole(database_url: str, emulator: str) -> AsyncIterator[Node]:
    """A server whose fal is the emulator."""
    async with running_node(FalDouble(), emulator=emulator, database_url=database_url) as node:
        yield node


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("model_error", "failed"),
        ("infrastructure_error", "failed"),
        ("webhook_lost", "completed"),
        ("webhook_thrice", "completed"),
        ("webhook_first", "completed"),
        ("webhook_late", "completed"),
        ("unknown_key", "completed"),
        ("old_timestamp", "completed"),
        ("payload_error", "completed"),
        ("prompt_blocked", "failed"),
        ("runner_lost", "failed"),
        ("binary_result", "failed"),
        ("response_suffix", "completed"),
        ("no_stream", "completed"),
        ("odd_status", "completed"),
        ("big_result", "completed"),
    ],
)
async def test_a_watched_job_ends_right_and_once_whatever_the_fault(whole: Node, fault: str, status: str) -> None:
    """One terminal state, versions only grow, and polling says the same."""
    body = {"endpointId": ENDPOINT, "input": {"prompt": "x", "_emulator": {"faults": [fault], "seconds": 1}}}
    taken = (await whole.client.post("/api/fal-jobs", json=body)).json()
    async with whole.events(taken["requestId"]) as events:
        states = [event.json() async for event in events if event.event == "job"]
    assert [state["status"] for state in states if state["status"] != "pending"] == [status]
    versions = [state["version"] for state in states]
    assert versions == sorted(set(versions))
    polled = (await whole.client.get(taken["links"]["status"])).json()
    assert polled == states[-1]
    assert (polled["result"] is None, polled["error"] is None) == (status == "failed", status != "failed")


async def _submit(node: Node, **wishes: object) -> dict[str, Any]:
    body = {"endpointId": ENDPOINT, "input": {"prompt": "x", "_emulator": wishes}}
    taken: dict[str, Any] = (await node.client.post("/api/fal-jobs", json=body)).json()
    return taken


async def test_submit_answers_while_the_job_has_not_begun(whole: Node) -> None:
    """However long the job takes: its answer says pending, and so does fal."""
    taken = await _submit(whole, speed=0.01)
    assert (taken["status"], taken["job"]["progress"]["phase"]) == ("pending", "queued")
    assert (await whole.client.get(taken["links"]["status"])).json()["status"] == "pending"


@pytest.mark.parametrize("faults", [[], ["response_suffix"]])
async def test_fals_urls_are_used_in_both_shapes(whole: Node, faults: list[str]) -> None:
    """Without a webhook and with a running job: followed and cancelled below the right URLs."""
    lost = await _submit(whole, faults=["webhook_lost", *faults], speed=2)
    async with whole.events(lost["requestId"]) as events:
        states = [event.json() async for event in events if event.event == "job"]
    assert "running" in {state["progress"]["phase"] for state in states}
    assert states[-1]["status"] == "completed"
    slow = await _submit(whole, faults=faults, speed=0.01)
    assert (await whole.client.post(slow["links"]["cancel"])).json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("prompt_blocked", "Prompt blocked"),
        ("runner_lost", "Runner disconnected unexpectedly"),
        ("binary_result", "The result is not JSON: fal delivered image/png, "),
        ("model_error", "prompt: The emulator was asked for a model error"),
    ],
)
async def test_a_failure_is_told_in_fals_words_without_a_webhook(whole: Node, fault: str, error: str) -> None:
    """Within seconds: result and status tell."""
    taken = await _submit(whole, faults=[fault, "webhook_lost"])
    async with whole.events(taken["requestId"]) as events:
        job = [event.json() async for event in events if event.event == "job"][-1]
    assert (job["status"], job["endedBy"]) == ("failed", "asked")
    assert job["error"].startswith(error)
    if fault == "runner_lost":
        assert job["errorDetail"]["error_type"] == "runner_disconnected"


@pytest.mark.parametrize("fault", ["odd_status", "no_stream"])
async def test_a_job_is_followed_though_its_status_is_odd_or_has_no_stream(whole: Node, fault: str) -> None:
    """Its positions and its log are shown."""
    taken = await _submit(whole, faults=[fault, "webhook_lost"], speed=2)
    async with whole.events(taken["requestId"]) as events:
        states = [event.json() async for event in events if event.event == "job"]
    progress = [state["progress"] for state in states]
    assert "running" in {each["phase"] for each in progress}
    assert [line["message"] for line in progress[-1]["logs"]][:2] == ["Runner started", "Loading the model"]
    assert states[-1]["status"] == "completed"


async def test_cancelling_a_request_that_fal_has_lost_says_so(whole: Node) -> None:
    """fal took it, and does not know it."""
    taken = await _submit(whole, faults=["unknown_request"])
    answer = await whole.client.post(taken["links"]["cancel"])
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_to_fal")


async def test_a_queued_job_is_cancelled_at_once(whole: Node) -> None:
    """fal takes it out of its queue; the webhook that still comes changes nothing."""
    taken = await _submit(whole, speed=0.01)
    answer = await whole.client.post(taken["links"]["cancel"])
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    again = await whole.client.post(taken["links"]["cancel"])
    assert (again.status_code, again.json()["code"]) == (409, "already_terminal")
    job = (await whole.client.get(taken["links"]["status"])).json()
    assert (job["status"], job["version"]) == ("cancelled", answer.json()["version"])


async def test_a_running_job_is_cancelled_when_fal_says_so(whole: Node) -> None:
    """Until then it is `cancelling`: it might still complete."""
    taken = await _submit(whole, speed=2)
    async with whole.events(taken["requestId"]) as events:
        states = (event.json() async for event in events if event.event == "job")
        while (await anext(states))["progress"]["phase"] != "running":
            pass
        answer = await whole.client.post(taken["links"]["cancel"])
        assert (answer.status_code, answer.json()["status"]) == (202, "pending")
        assert answer.json()["progress"]["phase"] == "cancelling"
        last = [state async for state in states][-1]
    assert (last["status"], last["result"]) == ("cancelled", None)

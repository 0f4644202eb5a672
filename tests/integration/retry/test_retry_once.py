"""A retry happens once: whatever is clicked twice, lost on the way, or restarted."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from hookcast.routes import retry as retrying
from support.access import ADMIN, token
from support.fal import ENDPOINT, sign
from support.retries import INPUT, OWNER, NumberingFal, end, fail, keeping, retry
from support.server import Node, until

pytestmark = pytest.mark.anyio


async def test_a_double_click_makes_one_job(kept: Node, fal: NumberingFal) -> None:
    """At the same time, a moment later, while the retry is pending, and by the owner or by a key."""
    together = await asyncio.gather(*(retry(kept) for _ in range(5)), retry(kept, ADMIN))
    later = [await retry(kept), await retry(kept, ADMIN)]
    await end(kept, "job-2")
    at_once = await retry(kept)
    assert {answer.json()["requestId"] for answer in (*together, *later, at_once)} == {"job-2"}
    assert len(fal.submits) == 2


async def test_a_retry_that_ended_is_followed_by_another(
    kept: Node, fal: NumberingFal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names the first job; it may be removed meanwhile."""
    monkeypatch.setattr(retrying, "DOUBLE_CLICK", timedelta(0))
    for number in range(2, 5):
        assert (await retry(kept)).json()["requestId"] == f"job-{number}"
        await end(kept, f"job-{number}")
    await kept.client.delete("/api/fal-jobs/job-4", headers=ADMIN)
    assert (await retry(kept)).json()["requestId"] == "job-5"
    await end(kept, "job-5")
    await kept.client.delete("/api/fal-jobs/job-1", headers=ADMIN)
    assert (await retry(kept)).json()["code"] == "job_not_found"
    chained = await retry(kept, path="/api/fal-jobs/job-5/retry")
    assert chained.json()["job"]["retryOf"] == "job-5"
    assert [submit.content for submit in fal.submits] == [INPUT] * 6


async def test_an_idempotency_key_decides_how_often(kept: Node, fal: NumberingFal) -> None:
    """The same key, the same job; another key, another one. It belongs to its caller and to the job."""
    one, two = ({**OWNER, "Idempotency-Key": key} for key in ("a", "b"))
    answers = [await retry(kept, headers) for headers in (one, two, one)]
    assert [answer.json()["requestId"] for answer in answers] == ["job-2", "job-3", "job-2"]
    renewed = {"Authorization": f"Bearer {token(sub='user-1', groups=['h'])}", "Idempotency-Key": "a"}
    assert (await retry(kept, renewed)).json()["requestId"] == "job-2"
    await end(kept, "job-3")
    mismatches = [
        await retry(kept, {**ADMIN, "Idempotency-Key": "a"}),
        await retry(kept, one, "/api/fal-jobs/job-3/retry"),
    ]
    assert [answer.json()["code"] for answer in mismatches] == ["idempotency_mismatch"] * 2
    assert len(fal.submits) == 3


async def test_a_retry_in_the_dark_waits_for_its_webhook_or_a_yes(kept: Node, fal: NumberingFal) -> None:
    """fal may have taken it: as a submit, but without a key of the caller."""
    fal.script(f"/{ENDPOINT}", httpx.ReadError("cut"))
    assert (await retry(kept)).json()["code"] == "fal_unreachable"
    fal.script(f"/{ENDPOINT}", httpx.Response(404))
    asked = len(fal.submits)
    assert (await retry(kept)).json()["code"] == "submit_outcome_unknown"
    assert len(fal.submits) == asked
    assert (await retry(kept, {**OWNER, "Idempotency-Retry": "yes"})).json()["requestId"] == "job-2"
    assert (await retry(kept)).json()["requestId"] == "job-2"


async def test_a_job_removed_while_its_retry_is_asked_for_leaves_nothing(kept: Node, fal: NumberingFal) -> None:
    """The new job names it all the same."""
    fal.gate.clear()
    async with asyncio.TaskGroup() as group:
        click = group.create_task(retry(kept))
        await until(lambda: len(fal.submits) == 2)
        assert (await kept.client.delete("/api/fal-jobs/job-1", headers=ADMIN)).status_code == 204
        fal.gate.set()
    assert click.result().json()["job"]["retryOf"] == "job-1"
    assert await kept.services.store.journal.of_job("job-1") == []
    assert await kept.services.store.inputs.of_job("job-1") is None


async def test_a_retry_is_made_by_the_webhook_when_fals_answer_is_lost(kept: Node, fal: NumberingFal) -> None:
    """It names the old job, and can be retried itself: its input was committed before fal was asked."""
    fal.script(f"/{ENDPOINT}", httpx.ReadError("cut"))
    await retry(kept)
    fal.script(f"/{ENDPOINT}", httpx.Response(404))
    query = fal.submits[-1].url.params["fal_webhook"].partition("?")[2]
    body = fal.webhook("job-9", status="ERROR", error="no")
    await kept.client.post(f"/api/webhooks/fal?{query}", content=body, headers=sign(body, fal.key))
    made = (await kept.client.get("/api/fal-jobs/job-9", headers=OWNER)).json()
    assert (made["retryOf"], made["status"], made["owner"]) == ("job-1", "failed", "user-1")
    assert (await retry(kept, path="/api/fal-jobs/job-9/retry")).json()["job"]["retryOf"] == "job-9"
    assert fal.submits[-1].content == INPUT


async def test_a_restart_in_between_changes_nothing(any_database_url: str, fal: NumberingFal) -> None:
    """Also when the server keeps no more inputs: the old one is there, the new job has none."""
    async with keeping(fal, any_database_url) as node:
        await fail(node)
    async with keeping(fal, any_database_url, keep_inputs=False) as node:
        assert (await retry(node)).json()["job"]["retryOf"] == "job-1"
        assert fal.submits[-1].content == INPUT
        await end(node, "job-2")
        assert (await retry(node, path="/api/fal-jobs/job-2/retry")).json()["code"] == "input_not_kept"


async def test_two_nodes_make_one_job_of_a_double_click(fal: NumberingFal, postgres_url: str) -> None:
    """The other node answers with it, or says that it is under way."""
    async with keeping(fal, postgres_url) as one, keeping(fal, postgres_url) as two:
        await fail(one)
        fal.gate.clear()
        async with asyncio.TaskGroup() as group:
            clicks = [group.create_task(retry(node)) for node in (one, two)]
            await until(lambda: any(click.done() for click in clicks))
            fal.gate.set()
        answers = sorted((click.result() for click in clicks), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [202, 409]
        assert answers[1].json()["code"] == "idempotency_in_flight"
        assert [(await retry(node)).json()["requestId"] for node in (one, two)] == ["job-2", "job-2"]
    assert len(fal.submits) == 2

"""A submit that is cut off anywhere loses no job and makes none twice; a key belongs to a caller and a body."""

import asyncio
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hookcast.errors import StoreUnavailable
from hookcast.store.durations import Durations
from support.access import ADMIN, SECOND_KEY, SETTINGS
from support.fal import ENDPOINT, Answer, FalDouble, sign
from support.server import Node, running_node, until
from support.submits import CUT, GONE, KEY, RETRY, code, job, submit, taken, webhook

pytestmark = pytest.mark.anyio


async def test_every_submit_names_an_intent_nobody_can_guess(node: Node) -> None:
    """At least 128 bits, another one each time, with a key or without."""
    node.fal.script(ENDPOINT, taken("job-1"), taken("job-2"))
    await submit(node)
    await submit(node, {})
    named = [request.url.params["fal_webhook"] for request in node.fal.asked(ENDPOINT)]
    pattern = r"https://hookcast\.example/api/webhooks/fal\?submit=([\w-]{22,})"
    ids = [found[1] for found in (re.fullmatch(pattern, url) for url in named) if found]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("headers", [KEY, {}], ids=["key", "no key"])
async def test_the_webhook_finds_what_was_intended(node: Node, headers: dict[str, str]) -> None:
    """fal took the request, and its answer is lost: the job is its owner's, with group, metadata and endpoint."""
    odd = httpx.Response(200, content=b"no JSON")
    node.fal.script(ENDPOINT, CUT, GONE, odd)
    for number in range(3):
        key = dict.fromkeys(headers, f"k-{number}")
        assert code(await submit(node, key, owner=f"user-{number}")) == (502, "fal_unreachable")
        assert (await webhook(node, f"job-{number}")).json() == {"status": "accepted"}
        found = await job(node, f"job-{number}")
        facts = ("status", "version", "owner", "group", "metadata", "endpointId")
        assert [found[name] for name in facts] == ["completed", 1, f"user-{number}", "g", {"n": 1}, ENDPOINT]
        listed = (await node.client.get(f"/api/fal-jobs?owner=user-{number}")).json()["jobs"]
        assert [one["requestId"] for one in listed] == [f"job-{number}"]


async def test_a_key_in_the_dark_asks_fal_only_when_told(node: Node) -> None:
    """409 until the webhook has come; then the key is its job."""
    node.fal.script(ENDPOINT, CUT)
    await submit(node)
    assert [code(await submit(node)) for _ in range(2)] == [(409, "submit_outcome_unknown")] * 2
    await webhook(node, "job-1")
    found = await submit(node)
    assert (found.status_code, found.json()["requestId"], found.json()["status"]) == (202, "job-1", "completed")
    assert (await submit(node, RETRY)).json()["requestId"] == "job-1"
    assert len(node.fal.asked(ENDPOINT)) == 1


async def test_whoever_says_so_submits_once_more(node: Node) -> None:
    """Exactly once, also when many say so; and should fal have taken the first one too, it has its owner."""
    node.fal.script(ENDPOINT, CUT, taken("job-2"))
    await submit(node)
    answers = await asyncio.gather(*(submit(node, RETRY) for _ in range(5)))
    assert {answer.json()["requestId"] for answer in answers} == {"job-2"}
    assert len(node.fal.asked(ENDPOINT)) == 2
    await webhook(node, "job-1", 0)
    assert (await job(node, "job-1"))["owner"] == "user-1"
    assert (await submit(node)).json()["requestId"] == "job-2"


async def test_a_key_is_free_again_when_fal_cannot_have_taken_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not sent, busy, refused by fal's gateway, rejected, failed before it had an id: the next submit asks fal."""
    monkeypatch.setattr("hookcast.fal.calls._pauses", lambda _: [0.001])
    answers: list[Answer] = [
        httpx.ConnectError("no route"),
        *(httpx.Response(status) for status in (429, 503)),
        httpx.Response(422, json={"detail": "prompt is too long"}),
        httpx.Response(500, text="a bug"),
    ]
    node.fal.script(ENDPOINT, *answers, taken("job-1"))
    assert [(await submit(node)).status_code for _ in answers] == [502] * 5
    assert (await submit(node)).json()["requestId"] == "job-1"


async def test_a_crash_that_names_a_request_may_have_taken_it(node: Node) -> None:
    """500 with fal's own request id."""
    node.fal.script(ENDPOINT, httpx.Response(500, headers={"x-fal-request-id": "a"}, text="a bug"))
    assert code(await submit(node)) == (502, "fal_rejected")
    assert code(await submit(node)) == (409, "submit_outcome_unknown")


@pytest.mark.parametrize("first", [taken("job-1"), CUT], ids=["known", "dark"])
async def test_a_key_belongs_to_its_body(node: Node, first: Answer) -> None:
    """Another body is 422, whatever became of the first, and also for a retry; fal is not asked."""
    changes: list[dict[str, Any]] = [
        {"input": {"prompt": "a dog"}},
        {"owner": "user-2"},
        {"group": None},
        {"metadata": {"n": 2}},
        {"endpointId": "fal-ai/flux/schnell"},
        {"options": {"priority": "low"}},
    ]
    node.fal.script(ENDPOINT, first)
    await submit(node)
    for headers, change in product((KEY, RETRY), changes):
        assert code(await submit(node, headers, **change)) == (422, "idempotency_mismatch")
    assert len(node.fal.requests) == 1


async def test_the_same_body_may_be_written_in_another_way(node: Node) -> None:
    """Order of the members, and white space between them."""
    node.fal.script(ENDPOINT, taken("job-1"))
    await submit(node)
    members = ['"metadata": {"n":1 }', '"owner":\n"user-1"', '"input":{"prompt":"a cat"}', '"group" :"g"']
    text = f'{{ {" , ".join(members)}, "endpointId":"{ENDPOINT}"}}'
    again = await node.client.post("/api/fal-jobs", content=text, headers=KEY)
    assert again.json()["requestId"] == "job-1"
    assert len(node.fal.requests) == 1


async def test_a_key_belongs_to_its_caller(database_url: str, fal: FalDouble) -> None:
    """Another API key gets neither the job nor its token."""
    async with running_node(fal, database_url=database_url, **SETTINGS) as node:
        fal.script(ENDPOINT, taken("job-1"))
        assert (await submit(node, {**KEY, **ADMIN})).status_code == 202
        stranger = await submit(node, {**KEY, "Authorization": f"Bearer {SECOND_KEY}"})
        assert code(stranger) == (422, "idempotency_mismatch")
        assert "job-1" not in stranger.text
        assert (await submit(node, {**KEY, **ADMIN})).json()["requestId"] == "job-1"
    assert SECOND_KEY.encode() not in Path(database_url.removeprefix("sqlite:///")).read_bytes()


async def test_a_retry_is_spelled_as_documented(node: Node) -> None:
    for headers in ({"Idempotency-Retry": "yes"}, {**KEY, "Idempotency-Retry": "true"}):
        assert code(await submit(node, headers)) == (422, "invalid_request")
    assert node.fal.requests == []


async def test_a_duration_that_cannot_be_read_fails_no_job(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:

    async def broken(_store: Durations, _endpoint: str) -> None:
        raise StoreUnavailable("It takes too long.")

    monkeypatch.setattr(Durations, "usual_seconds", broken)
    node.fal.script(ENDPOINT, taken("job-1"))
    answer = await submit(node)
    assert (answer.status_code, answer.json()["job"]["progress"]["expectedSeconds"]) == (202, None)
    assert (await node.register("job-2", endpointId=ENDPOINT)).status_code == 201


async def test_without_a_database_to_write_to_fal_is_not_asked(node: Node, database_url: str) -> None:
    """Read-only, full, away: 503 first."""
    node.fal.script(ENDPOINT, taken("job-1"))
    with sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON submits BEGIN SELECT RAISE(FAIL, 'disk full'); END")
        for headers in (KEY, {}):
            assert code(await submit(node, headers)) == (503, "store_unavailable")
        assert node.fal.requests == []
        database.execute("DROP TRIGGER full")
    database.close()
    assert (await submit(node)).status_code == 202


async def test_a_webhook_before_the_answer_finds_the_intent(node: Node) -> None:
    """fal's answer still adds what only it knows; the key is this job."""
    node.fal.script(ENDPOINT, taken("job-1"))
    await node.post_webhook(node.fal.webhook("another"))  # fal's keys are known from here on
    node.fal.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(submit(node))
        await until(lambda: node.fal.asked(ENDPOINT))
        await webhook(node, "job-1")
        assert (await job(node, "job-1"))["owner"] == "user-1"
        node.fal.gate.set()
    assert (first.result().status_code, first.result().json()["status"]) == (202, "completed")
    assert (await submit(node)).json()["requestId"] == "job-1"
    assert len(node.fal.asked(ENDPOINT)) == 1


async def test_a_registration_in_between_is_only_added_to(node: Node) -> None:
    """The intent fills in what it left open, and the key is this job; also when the job has ended meanwhile."""
    node.fal.script(ENDPOINT, CUT)
    await submit(node)
    await node.register("job-1", owner="user-2", metadata={"n": 3, "m": 4})
    await node.post_webhook(node.fal.webhook("job-1"))
    assert (await webhook(node, "job-1")).json() == {"status": "accepted"}
    found = await job(node, "job-1")
    assert [found[name] for name in ("owner", "group", "endpointId")] == ["user-2", "g", ENDPOINT]
    assert found["metadata"] == {"n": 3, "m": 4}
    assert (await submit(node)).json()["requestId"] == "job-1"


async def test_an_intent_is_joined_once(node: Node) -> None:
    """Who learned its id afterwards, or guesses one, gets a job of nobody's, as without it."""
    node.fal.script(ENDPOINT, taken("job-1"))
    await submit(node)
    await webhook(node, "stolen")
    for number, name in enumerate(("x" * 32, "", "x", "%27", "x" * 5000)):
        assert (await webhook(node, f"guessed-{number}", submit=name)).json() == {"status": "accepted"}
    found = [await job(node, name) for name in ("stolen", *(f"guessed-{number}" for number in range(5)))]
    assert [(one["status"], one["owner"]) for one in found] == [("completed", None)] * 6
    assert (await submit(node)).json()["requestId"] == "job-1"


async def test_an_intent_is_not_believed_before_the_signature(node: Node) -> None:
    """A forged webhook settles nothing."""
    node.fal.script(ENDPOINT, CUT)
    await submit(node)
    address = urlsplit(node.fal.asked(ENDPOINT)[0].url.params["fal_webhook"])
    body = node.fal.webhook("forged")
    forged = await node.client.post(
        f"{address.path}?{address.query}", content=body, headers=sign(body + b" ", node.fal.key)
    )
    assert code(forged) == (401, "signature_invalid")
    assert code(await submit(node)) == (409, "submit_outcome_unknown")


async def test_the_key_of_a_removed_job_is_a_new_submit(node: Node, database_url: str) -> None:
    """Not the old job, pending for ever."""
    node.fal.script(ENDPOINT, taken("job-1"), taken("job-2"))
    await submit(node)
    await node.post_webhook(node.fal.webhook("job-1"))
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as database:
        database.execute("DELETE FROM jobs")
    database.close()
    assert (await submit(node)).json()["requestId"] == "job-2"


async def test_a_node_that_dies_leaves_its_key_in_the_dark(node: Node, database_url: str) -> None:
    """Under way at first, on whatever node; after the longest that a submit takes nobody waits for it any more."""
    node.fal.script(ENDPOINT, CUT)
    await submit(node)
    with sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None) as database:
        soon = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
        database.execute("UPDATE submits SET until = ?", (soon.isoformat(" "),))
        assert code(await submit(node)) == (409, "idempotency_in_flight")
        assert code(await submit(node, RETRY)) == (409, "idempotency_in_flight")
        database.execute("UPDATE submits SET until = '2026-01-01 00:00:00.000000'")
    database.close()
    assert code(await submit(node)) == (409, "submit_outcome_unknown")
    assert len(node.fal.asked(ENDPOINT)) == 1


async def test_everything_but_the_input_is_small(node: Node) -> None:
    """413, as for PUT; the input may be large."""
    many = {f"name-{number}": number for number in range(30_000)}
    changes: list[dict[str, Any]] = [
        {"metadata": {"big": "x" * 300_000}},
        {"metadata": many},
        {"options": {"objectLifecycle": many}},
    ]
    node.fal.script(ENDPOINT, taken("job-1"))
    for change in changes:
        assert code(await submit(node, **change)) == (413, "too_large")
    assert node.fal.requests == []
    assert (await submit(node, input={"image": "x" * 1_000_000})).status_code == 202

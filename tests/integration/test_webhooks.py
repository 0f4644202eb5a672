"""fal's webhook over HTTP: what is taken, what is refused, and that refusing stores nothing."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from nacl.signing import SigningKey
from structlog.testing import capture_logs

from hookcast.media.precedence import Precedence
from support.fal import FalDouble, sign
from support.raw import get, raw
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


async def test_a_webhook_of_an_unknown_job_creates_it_ended(node: Node) -> None:
    """Nothing is lost when the webhook is faster than the registration."""
    answer = await node.post_webhook(node.fal.webhook("job-1"))
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    job = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert (job["status"], job["version"]) == ("completed", 1)


async def test_a_webhook_that_is_sent_again_is_logged_once(node: Node) -> None:
    """Whoever repeats it, the answer is polite; another webhook about the same job is told."""
    body = node.fal.webhook("job-1")
    headers = sign(body, node.fal.key)
    with capture_logs() as logs:
        answers = [(await node.post_webhook(body, headers)).json()["status"] for _ in range(3)]
        await node.post_webhook(node.fal.webhook("job-1", status="ERROR"))
    assert answers == ["accepted", "duplicate", "duplicate"]
    told = [line["answer"] for line in logs if line["event"] == "webhook"]
    assert told == ["accepted", "duplicate"]


async def test_the_result_keeps_every_digit(node: Node) -> None:
    """Integers beyond 2^53 leave as they came."""
    await node.post_webhook(node.fal.webhook("job-1"))
    assert '"seed": 12345678901234567890' in (await node.client.get("/api/fal-jobs/job-1")).text


async def test_half_an_emoji_in_a_result_costs_no_outcome(node: Node) -> None:
    """A model has cut it; it becomes a replacement character, in a result that is fetched, too."""
    cut = {"text": "a cat \ud83d"}
    assert (await node.post_webhook(node.fal.webhook("job-1", payload=cut))).json() == {"status": "accepted"}
    node.fal.script("/requests/job-2", httpx.Response(200, content=json.dumps(cut)))
    await node.register("job-2", endpointId="fal-ai/any-llm")
    await node.post_webhook(node.fal.webhook("job-2", payload=None, payload_error="too large"))
    for path in ("job-1", "job-2?wait=20&version=2"):
        job = (await node.client.get(f"/api/fal-jobs/{path}")).json()
        assert (job["status"], job["result"]) == ("completed", {"text": "a cat \ufffd"})


async def test_text_that_postgresql_cannot_store_loses_no_outcome(fal: FalDouble, postgres_url: str) -> None:
    """A NUL in an error, by webhook or fetched, is replaced; in a result it is an escape, and stays."""
    async with running_node(fal, database_url=postgres_url) as node:
        fal.script("/requests/job-2", httpx.Response(422, json={"detail": "a\x00b"}))
        fal.script("/requests/job-3", httpx.Response(422, content=b"a\x00b"))
        await node.post_webhook(fal.webhook("job-1", status="ERROR", error="a\x00b", payload={"detail": "a\x00b"}))
        for name in ("job-2", "job-3"):
            await node.register(name, endpointId="fal-ai/any-llm")
            await node.post_webhook(fal.webhook(name, payload=None, payload_error="too large"))
        await node.post_webhook(fal.webhook("job-4", payload={"text": "a\x00b"}))
        for name in ("job-1", "job-2?wait=20&version=2", "job-3?wait=20&version=2"):
            job = (await node.client.get(f"/api/fal-jobs/{name}")).json()
            assert (job["status"], job["error"]) == ("failed", "a\ufffdb")
        assert (await node.client.get("/api/fal-jobs/job-4")).json()["result"] == {"text": "a\x00b"}


async def test_an_outcome_has_the_time_at_which_its_webhook_arrived(node: Node) -> None:
    """However long its body took: another job is registered between the two."""
    body = node.fal.webhook("job-1")
    named = (f"{name}: {value}" for name, value in sign(body, node.fal.key).items())
    head = get("/api/webhooks/fal", f"Content-Length: {len(body)}", "Expect: 100-continue", *named, method="POST")
    async with raw(node) as client:
        await client.send(head)
        await client.until(b"100 Continue")
        between = (await node.register("job-2")).json()
        await client.send(body)
        await client.until(b"accepted")
    job = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert job["completedAt"] <= between["createdAt"]


async def test_a_second_webhook_is_a_duplicate(node: Node) -> None:
    """It is answered 200, so that fal stops, and changes nothing."""
    await node.post_webhook(node.fal.webhook("job-1"))
    answer = await node.post_webhook(node.fal.webhook("job-1", status="ERROR", error="late"))
    assert answer.json() == {"status": "duplicate"}
    assert (await node.client.get("/api/fal-jobs/job-1")).json()["version"] == 1


async def test_a_model_error_becomes_a_readable_sentence(node: Node) -> None:
    """The first detail with its place; fal's own body is kept beside it."""
    payload = {"detail": [{"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}]}
    await node.post_webhook(node.fal.webhook("job-1", status="ERROR", error="Invalid", payload=payload))
    job = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert (job["status"], job["error"], job["errorDetail"]) == ("failed", "prompt: Field required", payload)
    assert (job["progress"]["phase"], job["endedBy"]) == ("ended", "webhook")


async def test_registration_after_the_webhook_only_adds(node: Node) -> None:
    """Owner, group and labels are filled in; the outcome stays."""
    await node.post_webhook(node.fal.webhook("job-1"))
    answer = await node.register("job-1", owner="user-1", group="g", metadata={"n": 1})
    job = answer.json()
    assert (answer.status_code, job["status"], job["owner"], job["metadata"]) == (200, "completed", "user-1", {"n": 1})


def _unsigned(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("wrong key", "signature_invalid"),
        ("changed byte", "signature_invalid"),
        ("no hex", "signature_invalid"),
        ("old", "timestamp_out_of_range"),
        ("future", "timestamp_out_of_range"),
        ("no number", "timestamp_out_of_range"),
        ("no x-fal-webhook-request-id", "signature_missing"),
        ("no x-fal-webhook-user-id", "signature_missing"),
        ("no x-fal-webhook-timestamp", "signature_missing"),
        ("no x-fal-webhook-signature", "signature_missing"),
    ],
)
async def test_a_webhook_that_is_not_fals_is_refused_and_not_stored(node: Node, fault: str, code: str) -> None:
    """401 with a stable code, whatever is wrong with the signature."""
    body = node.fal.webhook("job-1")
    headers = sign(body, node.fal.key)
    match fault:
        case "wrong key":
            headers = sign(body, SigningKey.generate())
        case "changed byte":
            body = body.replace(b"OK", b"ok")
        case "no hex":
            headers["x-fal-webhook-signature"] = "zz" * 64
        case "old":
            headers = sign(body, node.fal.key, timestamp=time.time() - 310)
        case "future":
            headers = sign(body, node.fal.key, timestamp=time.time() + 900)
        case "no number":
            headers["x-fal-webhook-timestamp"] = "12.5"
        case _:
            headers = _unsigned(headers, fault.removeprefix("no "))
    answer = await node.post_webhook(body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await node.client.get("/api/fal-jobs/job-1")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"request_id": 5, "status": "OK"}',
        b'{"request_id": "a", "status": "MAYBE"}',
        b'{"request_id": "../a", "status": "OK"}',
        b'{"request_id": "", "status": "OK"}',
        b'{"request_id": "a", "status": "OK", "payload": "\xff"}',
        b'{"request_id": "a", "status": "OK", "payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
async def test_a_signed_body_that_is_no_webhook_is_malformed(node: Node, body: bytes) -> None:
    answer = await node.post_webhook(body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    ("fields", "status", "phase"),
    [
        ({"status": "ok"}, "completed", "ended"),
        ({"status": "Error", "error": "It broke"}, "failed", "ended"),
        ({"status": "OK", "payload": None, "error": "It broke"}, "pending", "saving"),
    ],
)
async def test_a_webhook_is_read_as_far_as_it_can_be(
    node: Node, fields: dict[str, object], status: str, phase: str
) -> None:
    """A status in another case; a success with an error and no payload is looked up at fal."""
    assert (await node.post_webhook(node.fal.webhook("job-1", **fields))).status_code == 200
    job = (await node.client.get("/api/fal-jobs/job-1")).json()
    assert (job["status"], job["progress"]["phase"]) == (status, phase)


async def test_a_webhook_tells_the_models_own_sentence(node: Node) -> None:
    """Wherever the payload has it; `error` is only a status code."""
    for name, payload in (("job-1", {"detail": ["prompt is too long"]}), ("job-2", {"error": {"message": "Blocked."}})):
        body = node.fal.webhook(name, status="ERROR", error="Invalid status code: 422", payload=payload)
        await node.post_webhook(body)
    jobs = [(await node.client.get(f"/api/fal-jobs/{name}")).json() for name in ("job-1", "job-2")]
    assert [job["error"] for job in jobs] == ["prompt is too long", "Blocked."]
    assert jobs[0]["errorDetail"] == {"detail": ["prompt is too long"]}


async def test_a_webhook_of_another_fal_user_is_refused(database_url: str, fal: FalDouble) -> None:
    """fal signs for all its customers with the same keys."""
    async with running_node(fal, database_url=database_url, fal_user_id="me") as node:
        answer = await node.post_webhook(fal.webhook("job-1"))
        assert (answer.status_code, answer.json()["code"]) == (401, "user_mismatch")


async def test_a_body_past_the_limit_is_refused(database_url: str, fal: FalDouble) -> None:
    """Both when it is announced and when it just goes on."""
    async with running_node(fal, database_url=database_url, max_webhook_bytes=2048) as node:
        body = fal.webhook("job-1", payload="x" * 4096)

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        announced = await node.post_webhook(body)
        streamed = await node.client.post("/api/webhooks/fal", content=chunks(), headers=sign(body, fal.key))
        assert [announced.status_code, streamed.status_code] == [413, 413]
        assert announced.json()["code"] == "too_large"


async def test_without_any_key_the_webhook_may_be_sent_again(node: Node) -> None:
    """503, so that fal repeats it; the next one finds the keys."""
    node.fal.down = True
    answer = await node.post_webhook(node.fal.webhook("job-1"))
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")


async def test_a_restart_without_network_still_verifies(database_url: str, fal: FalDouble) -> None:
    """The last good keys are in the database."""
    async with running_node(fal, database_url=database_url) as first:
        await first.post_webhook(fal.webhook("job-1"))
    fal.down = True
    async with running_node(fal, database_url=database_url) as second:
        assert (await second.post_webhook(fal.webhook("job-2"))).status_code == 200
        assert (await second.client.get("/readyz")).status_code == 200


async def test_a_new_key_of_fals_is_fetched_when_it_is_first_used(node: Node) -> None:
    """A signature that no known key made asks for the keys again, three times at a time at most."""
    await node.post_webhook(node.fal.webhook("job-1"))
    asked = len(node.fal.asked("jwks.json"))
    refused = [await node.post_webhook(b"{}", sign(b"{}", SigningKey.generate())) for _ in range(5)]
    assert {answer.status_code for answer in refused} == {401}
    assert len(node.fal.asked("jwks.json")) - asked == 3


async def test_a_database_that_is_away_makes_fal_send_again(tmp_path: Path, fal: FalDouble) -> None:
    """503 and nothing acknowledged; once the database is back the webhook is taken."""
    path = tmp_path / "locked.db"
    async with running_node(fal, database_url=f"sqlite:///{path}") as node:
        await node.post_webhook(fal.webhook("warm-up"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        answer = await node.post_webhook(fal.webhook("job-1"))
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        other.execute("ROLLBACK")
        other.close()
        assert (await node.post_webhook(fal.webhook("job-1"))).json() == {"status": "accepted"}


async def test_a_success_with_payload_error_is_fetched_from_the_queue(node: Node) -> None:
    """The webhook is acknowledged, the job is `saving` until its result is here."""
    node.fal.script("/requests/job-1", httpx.ConnectError("cut"), httpx.Response(200, content=b'{"big": 1.0}'))
    await node.register("job-1", endpointId="fal-ai/flux/dev")
    await node.post_webhook(node.fal.webhook("job-1", payload=None, payload_error="too large"))
    answer = await node.client.get("/api/fal-jobs/job-1?wait=20&version=2")
    assert (answer.json()["status"], answer.json()["result"]) == ("completed", {"big": 1.0})
    assert json.loads(answer.text)["version"] == 3


async def test_copies_give_way_to_a_webhook_once_it_is_verified(
    fal: FalDouble, database_url: str, tmp_path: Path
) -> None:
    """Not to strangers, who could hold them up."""
    seen: list[str] = []

    class Noted(Precedence):
        def __enter__(self) -> None:
            seen.append("begins")

        def __exit__(self, *_: object) -> None:
            seen.append("ends")

    async with running_node(fal, database_url=database_url, media_url=f"file://{tmp_path}/media") as node:
        assert node.services.media is not None
        node.services.media.turns.precedence = Noted()
        body = fal.webhook("job-1")
        assert (await node.post_webhook(body, sign(body, SigningKey.generate()))).status_code == 401
        assert seen == []
        assert (await node.post_webhook(body)).status_code == 200
        assert seen == ["begins", "ends"]

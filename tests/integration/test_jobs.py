"""Submit, register, poll and list over HTTP."""

import asyncio

import httpx
import pytest

from hookcast.store import JobStore, Outline
from support.fal import ENDPOINT, FalDouble
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio

TAKEN = httpx.Response(200, json={"request_id": "job-1", "response_url": "https://elsewhere/x", "queue_position": 2})


async def test_submit_answers_pending_with_links(node: Node) -> None:
    """The webhook address goes into the query, the input to fal as it is, and the job is stored."""
    node.fal.script(ENDPOINT, TAKEN)
    answer = await node.submit()
    body = answer.json()
    assert (answer.status_code, body["requestId"], body["status"], body["token"]) == (202, "job-1", "pending", None)
    assert body["job"]["progress"]["queuePosition"] == 2
    assert body["links"]["events"] == "/api/fal-jobs/job-1/events"
    sent = node.fal.asked(ENDPOINT)[0]
    assert sent.url.params["fal_webhook"].startswith("https://hookcast.example/api/webhooks/fal?submit=")
    assert sent.headers["authorization"] == "Key key-of-the-test"


async def test_fals_own_options_become_its_headers(node: Node) -> None:
    """By the names of the protocol page."""
    node.fal.script(ENDPOINT, TAKEN)
    options = {"priority": "low", "startTimeoutSeconds": 20, "noRetry": True, "storeIo": False, "runnerHint": "a"}
    body = {"endpointId": ENDPOINT, "input": {}, "options": {**options, "objectLifecycle": {"seconds": 60}}}
    assert (await node.client.post("/api/fal-jobs", json=body)).status_code == 202
    sent = node.fal.asked(ENDPOINT)[0].headers
    names = ("queue-priority", "request-timeout", "no-retry", "store-io", "runner-hint")
    assert [sent[f"x-fal-{name}"] for name in names] == ["low", "20", "1", "0", "a"]
    assert sent["x-fal-object-lifecycle-preference"] == '{"seconds":60}'


async def test_one_idempotency_key_makes_one_job(node: Node) -> None:
    node.fal.script(ENDPOINT, TAKEN)
    answers = await asyncio.gather(*(node.submit(**{"Idempotency-Key": "k"}) for _ in range(5)))
    assert {answer.json()["requestId"] for answer in answers} == {"job-1"}
    assert len(node.fal.asked(ENDPOINT)) == 1


async def test_what_fal_rejects_reaches_the_user_in_fals_words(node: Node) -> None:
    """502 with fal's status and body; the key may be used again."""
    locked = {"detail": "User is locked. Reason: exhausted balance."}
    node.fal.script(ENDPOINT, httpx.Response(403, json=locked), TAKEN)
    answer = await node.submit(**{"Idempotency-Key": "k"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["falStatus"]) == (502, "fal_rejected", 403)
    assert (problem["falBody"], problem["detail"]) == (locked, locked["detail"])
    assert (await node.submit(**{"Idempotency-Key": "k"})).status_code == 202


async def test_a_submit_that_fal_may_have_taken_is_not_sent_twice(node: Node) -> None:
    """The connection broke after sending."""
    node.fal.script(ENDPOINT, httpx.ReadError("cut"))
    answer = await node.submit()
    assert (answer.status_code, answer.json()["code"]) == (502, "fal_unreachable")
    assert len(node.fal.asked(ENDPOINT)) == 1


async def test_a_busy_fal_is_asked_again(node: Node) -> None:
    """429 and a gateway's 503 pass."""
    node.fal.script(ENDPOINT, httpx.Response(429), httpx.Response(503), TAKEN)
    assert (await node.submit()).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"endpointId": ENDPOINT},
        {"input": {}},
        {"endpointId": "flux", "input": {}},
        {"endpointId": "a/../b", "input": {}},
        {"endpointId": ENDPOINT, "input": []},
        {"endpointId": ENDPOINT, "input": {}, "options": {"priority": "high"}},
        {"endpointId": ENDPOINT, "input": {}, "options": {"objectLifecycle": {"é": 1}}},
        {"endpointId": ENDPOINT, "input": {}, "options": {"runnerHint": "a b"}},
        {"endpointId": ENDPOINT, "input": {}, "webhook": "x"},
    ],
)
async def test_a_wrong_submit_is_explained(node: Node, body: dict[str, object]) -> None:
    """422 and nothing is asked of fal."""
    answer = await node.client.post("/api/fal-jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert node.fal.requests == []


async def test_registration_is_idempotent(node: Node) -> None:
    """201, then 200 with the same version."""
    first, second = await node.register("job-1", group="g"), await node.register("job-1", group="g")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


async def test_polling_with_the_etag_costs_no_body(node: Node) -> None:
    """304 until the version moves."""
    await node.register("job-1")
    answer = await node.client.get("/api/fal-jobs/job-1")
    assert answer.headers["etag"] == '"1"'
    again = await node.client.get("/api/fal-jobs/job-1", headers={"If-None-Match": 'W/"1"'})
    assert (again.status_code, again.content) == (304, b"")
    await node.post_webhook(node.fal.webhook("job-1"))
    assert (await node.client.get("/api/fal-jobs/job-1", headers={"If-None-Match": '"1"'})).status_code == 200


async def test_a_long_poll_answers_as_soon_as_the_version_is_past(node: Node) -> None:
    """The webhook ends the wait."""
    await node.register("job-1")
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(node.client.get("/api/fal-jobs/job-1?wait=20&version=1"))
        await until(lambda: len(node.engine.hub))
        await node.post_webhook(node.fal.webhook("job-1"))
    assert poll.result().json()["status"] == "completed"


async def test_a_long_poll_ends_with_what_is_there(node: Node) -> None:
    """After `wait`: the same state, 304 for who sent its ETag, 404 for an unknown job."""
    await node.register("job-1")
    plain = await node.client.get("/api/fal-jobs/job-1?wait=0.05&version=1")
    tagged = await node.client.get("/api/fal-jobs/job-1?wait=0.05", headers={"If-None-Match": '"1"'})
    unknown = await node.client.get("/api/fal-jobs/job-2?wait=0.05")
    assert (plain.json()["version"], tagged.status_code, unknown.status_code) == (1, 304, 404)
    assert unknown.json()["code"] == "job_not_found"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were read from the store one by one."""
    found, outline = list[str](), JobStore.outline

    async def counted(store: JobStore, request_id: str) -> Outline | None:
        found.append(request_id)
        return await outline(store, request_id)

    monkeypatch.setattr(JobStore, "outline", counted)
    return found


async def test_an_idle_long_poll_reads_the_job_once(node: Node, reads: list[str]) -> None:
    """Thousands of them wait for nothing most of the time."""
    await node.register("job-1")
    assert (await node.client.get("/api/fal-jobs/job-1?wait=0.05&version=1")).json()["version"] == 1
    assert reads == ["job-1"]


async def test_a_stream_of_a_job_that_cannot_be_followed_reads_it_once(node: Node, reads: list[str]) -> None:
    """Without an endpoint fal cannot be asked; it is followed once the endpoint is known."""
    await node.register("job-1")
    async with node.events("job-1") as events:
        assert (await anext(events)).id == "1"
        await node.register("job-1", owner="user-1")
        assert (await anext(events)).id == "2"
        assert reads == ["job-1"]
        await node.register("job-1", endpointId=ENDPOINT)
        await until(lambda: node.fal.asked("/status/stream"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/fal-jobs/" + "a" * 201, 400),
        ("/api/fal-jobs/a..b", 400),
        ("/api/fal-jobs/a%00b", 400),
        ("/api/fal-jobs/events", 422),
        ("/api/fal-jobs/ws", 426),
        ("/api/fal-jobs/..%2Fx", 400),
        ("/api/nothing", 404),
        ("/api/fal-jobs/a?wait=61", 422),
        ("/api/fal-jobs/a?wait=x", 422),
        ("/api/fal-jobs/a?version=1.5", 422),
        ("/api/fal-jobs?limit=0", 422),
        ("/api/fal-jobs?owner=a%00b", 422),
        ("/api/fal-jobs/events?group=a%00b", 422),
        ("/api/fal-jobs?status=done", 422),
        ("/api/fal-jobs?cursor=%21", 422),
        ("/api/fal-jobs?owner=a&order=newest", 422),
        ("/api/fal-jobs?order=updated", 422),
        ("/api/fal-jobs?order=updated&owner=a&group=b", 422),
        ("/api/fal-jobs?order=updated&owner=a&status=pending", 422),
    ],
)
async def test_a_wrong_path_or_query_is_a_problem_document(node: Node, path: str, status: int) -> None:
    """With a code, never a crash."""
    answer = await node.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"]


async def test_the_list_pages_through_everything_newest_first(node: Node) -> None:
    """No job twice, none missing, filtered as asked."""
    for number in range(5):
        await node.register(f"job-{number}", group="odd" if number % 2 else "even")
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await node.client.get(f"/api/fal-jobs?limit=2{cursor and '&cursor=' + cursor}")).json()
        found += [job["requestId"] for job in page["jobs"]]
        cursor = page["nextCursor"]
    assert sorted(found) == [f"job-{number}" for number in range(5)]
    odd = (await node.client.get("/api/fal-jobs?group=odd&status=pending&owner=nobody")).json()
    assert odd == {"jobs": [], "nextCursor": None}


async def test_the_jobs_that_changed_last_are_listed_first_and_a_list_without_changes_is_not_sent_again(
    node: Node,
) -> None:
    """By its ETag, which each page has; so polling the jobs of an owner costs little."""
    for number in range(5):
        await node.register(f"job-{number}", owner="me")
    await node.post_webhook(node.fal.webhook("job-1"))
    url = "/api/fal-jobs?owner=me&order=updated&limit=3"
    first = await node.client.get(url)
    rest = await node.client.get(f"{url}&cursor={first.json()['nextCursor']}")
    listed = [[job["requestId"] for job in answer.json()["jobs"]] for answer in (first, rest)]
    assert listed == [["job-1", "job-4", "job-3"], ["job-2", "job-0"]]
    unchanged = await node.client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", first.headers["etag"])
    await node.post_webhook(node.fal.webhook("job-0"))
    changed = await node.client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, changed.json()["jobs"][0]["requestId"]) == (200, "job-0")


@pytest.mark.parametrize("odd", [2**63, 3 * 10**9, -1, "many", [], 1.5])
async def test_an_odd_submit_answer_loses_no_request(node: Node, odd: object) -> None:
    """fal has taken it: what cannot be read, or stored by every database, is absent."""
    answer = {"request_id": "job-1", "queue_position": odd, "response_url": odd, "status_url": odd, "cancel_url": odd}
    node.fal.script(f"/{ENDPOINT}", httpx.Response(200, json=answer))
    told = (await node.submit()).json()
    assert (told["requestId"], told["job"]["progress"]["queuePosition"]) == ("job-1", None)


async def test_a_result_past_the_limit_of_webhooks_fails_its_job(database_url: str, fal: FalDouble) -> None:
    """It says how large it is, and which setting limits it."""
    fal.script("/requests/job-1", httpx.Response(200, json={"filler": "x" * 5000}))
    async with running_node(fal, database_url=database_url, max_webhook_bytes=2048) as node:
        await node.register("job-1", endpointId=ENDPOINT)
        await node.post_webhook(fal.webhook("job-1", payload=None, payload_error="too large"))
        job = (await node.client.get("/api/fal-jobs/job-1?wait=30&version=2")).json()
    assert job["status"] == "failed"
    assert job["error"] == "The result is too large: 5,013 bytes of at most 2,048 bytes (HOOKCAST_MAX_WEBHOOK_BYTES)."


async def test_without_a_key_submit_says_what_to_set(database_url: str, fal: FalDouble) -> None:
    """The webhook side works all the same."""
    async with running_node(fal, database_url=database_url, fal_key=None) as node:
        answer = await node.submit()
        assert "FAL_KEY" in answer.json()["detail"]
        assert (await node.post_webhook(fal.webhook("job-1"))).status_code == 200


async def test_large_results_are_polled_and_listed_like_small_ones(node: Node) -> None:
    """Byte for byte, in the order of the list; whoever has the state costs no read of it."""
    for name, size in (("job-1", 300_000), ("job-2", 1), ("job-3", 20_000)):
        body = b'{"request_id": "%b", "status": "OK", "payload": {"exact": 1.10, "long": "%b"}}'
        await node.post_webhook(body % (name.encode(), b"x" * size))
    large = await node.client.get("/api/fal-jobs/job-1")
    waited = await node.client.get("/api/fal-jobs/job-1?wait=20")
    assert b'"result":{"exact": 1.10, "long": "' + b"x" * 300_000 + b'"}' in large.content
    assert (waited.content, waited.headers["etag"]) == (large.content, large.headers["etag"])
    assert large.headers["content-type"] == "application/json"
    again = await node.client.get("/api/fal-jobs/job-1", headers={"If-None-Match": large.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    listed = await node.client.get("/api/fal-jobs")
    assert [job["requestId"] for job in listed.json()["jobs"]] == ["job-3", "job-2", "job-1"]
    assert large.content in listed.content
    assert listed.json()["nextCursor"] is None
    head = await node.client.head("/api/fal-jobs/job-1")
    assert (head.status_code, head.content) == (200, b"")

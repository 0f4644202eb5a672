"""Retry: the input of an ended job is submitted again, as a new job that names the old one."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from support.access import ADMIN, API_KEY, token
from support.emulated import emulated_fal
from support.fal import ENDPOINT, FalDouble
from support.retries import INPUT, OWNER, NumberingFal, end, fail, keeping, retry, told
from support.server import Node, running_node

pytestmark = pytest.mark.anyio


async def test_a_retry_sends_fal_the_same_again_and_names_the_old_job(kept: Node, fal: NumberingFal) -> None:
    """The input byte for byte, fal's options, and everything that was said of the job; answered as a submit."""
    answer = await retry(kept)
    first, second = fal.submits
    assert answer.status_code == 202
    assert second.content == first.content == INPUT
    assert second.url.path == first.url.path
    names = ("x-fal-queue-priority", "x-fal-request-timeout")
    assert [second.headers[name] for name in names] == [first.headers[name] for name in names] == ["low", "30"]
    told_job = answer.json()["job"]
    assert (answer.json()["requestId"], answer.headers["location"]) == ("job-2", "/api/fal-jobs/job-2")
    assert answer.json().keys() == {"requestId", "status", "job", "token", "expiresAt", "links"}
    old, new = [(await kept.client.get(f"/api/fal-jobs/job-{n}", headers=OWNER)).json() for n in (1, 2)]
    assert new == told_job
    assert (old["retryOf"], new["retryOf"], new["status"]) == (None, "job-1", "pending")
    facts = ("endpointId", "owner", "group", "metadata")
    assert [new[name] for name in facts] == [old[name] for name in facts] == [ENDPOINT, "user-1", "g", {"n": 1.0}]


async def test_the_input_is_in_no_state_no_journal_no_log_and_no_webhook_address(
    database_url: str, fal: NumberingFal
) -> None:
    with capture_logs() as log:
        async with keeping(fal, database_url, access_log=True) as kept:
            await fail(kept)
            await retry(kept)
            shown = await everything(kept)
    assert INPUT in [submit.content for submit in fal.submits]
    texts = (*shown, *(str(submit.url) for submit in fal.submits), str(log))
    assert not any("secret-prompt" in text for text in texts)


async def everything(kept: Node) -> list[str]:
    """What the server says of both jobs."""
    states = [(await kept.client.get(f"/api/fal-jobs/job-{n}", headers=ADMIN)).text for n in (1, 2)]
    lines = [json.dumps(await told(kept, f"job-{n}")) for n in (1, 2)]
    return [*states, *lines]


@pytest.mark.parametrize(
    ("credential", "status", "code"),
    [
        (API_KEY, 202, None),
        (token(sub="user-1"), 202, None),
        (token(sub="user-2", jobs=["job-1"]), 403, "forbidden"),
        (token(jobs=["job-1"]), 403, "forbidden"),
        (token(groups=["g"]), 403, "forbidden"),
        (token(sub="user-2"), 404, "job_not_found"),
        (token(sub="user-1", expires_in=-1), 401, "token_expired"),
        (None, 401, "unauthorized"),
    ],
    ids=["key", "owner", "owner of another", "by job", "by group", "blind", "expired", "nobody"],
)
async def test_who_may_retry(
    kept: Node, fal: NumberingFal, credential: str | None, status: int, code: str | None
) -> None:
    """A key, and the job's owner; fal is asked for nobody else."""
    answer = await retry(kept, {} if credential is None else {"Authorization": f"Bearer {credential}"})
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert len(fal.submits) == (2 if status == 202 else 1)


async def test_on_an_open_server_everybody_may_retry(database_url: str, fal: NumberingFal) -> None:
    async with running_node(fal, database_url=database_url, keep_inputs=True) as node:
        await fail(node)
        assert (await retry(node, {})).json()["token"] is None
        page = {"Origin": "https://evil.test"}
        assert (await retry(node, page)).json()["code"] == "origin_not_allowed"


async def test_the_token_of_a_retry_ends_with_the_owners(kept: Node) -> None:
    """It shows the new job, and no longer than the owner could see it."""
    soon = {"Authorization": f"Bearer {token(sub='user-1', expires_in=600)}"}
    answer = (await retry(kept, soon)).json()
    left = datetime.fromisoformat(answer["expiresAt"]) - datetime.now(UTC)
    assert left <= timedelta(seconds=600)
    shown = {"Authorization": f"Bearer {answer['token']}"}
    assert (await kept.client.get("/api/fal-jobs/job-2", headers=shown)).status_code == 200
    assert (await retry(kept, shown)).status_code == 404


async def test_only_an_ended_job_is_retried(kept: Node, fal: NumberingFal) -> None:
    await retry(kept)
    answers = [await retry(kept, path=f"/api/fal-jobs/job-{n}/retry") for n in (2, 3)]
    assert [answer.json()["code"] for answer in answers] == ["not_terminal", "job_not_found"]
    assert len(fal.submits) == 2


@pytest.mark.parametrize("known", ["submitted", "registered"])
async def test_without_its_input_no_job_is_retried(database_url: str, fal: NumberingFal, known: str) -> None:
    """The server kept none, or never had it."""
    async with keeping(fal, database_url, keep_inputs=known == "registered") as node:
        if known == "submitted":
            await fail(node)
        else:
            await node.client.put(
                "/api/fal-jobs/job-1", json={"endpointId": ENDPOINT, "owner": "user-1"}, headers=ADMIN
            )
            await end(node, "job-1")
        answer = await retry(node)
        assert (answer.status_code, answer.json()["code"]) == (409, "input_not_kept")


async def test_retries_count_as_submits_of_their_caller(database_url: str, fal: NumberingFal) -> None:
    async with keeping(fal, database_url, submits_per_minute=2) as node:
        await fail(node)
        keys = [{**OWNER, "Idempotency-Key": str(number)} for number in range(3)]
        answers = [await retry(node, headers) for headers in keys]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert "retry-after" in answers[-1].headers


async def test_the_journals_of_both_jobs_tell_it(kept: Node) -> None:
    """The old one names the new job and who asked; the new one has a submit."""
    await retry(kept)
    await retry(kept)
    [entry] = [entry for entry in await told(kept, "job-1") if entry["event"] == "retried"]
    assert entry["facts"] == {"as": "job-2", "by": "owner:user-1"}
    journal = (await kept.client.get("/api/fal-jobs/job-1/journal", headers=ADMIN)).json()
    assert {"code": "retried", "message": "It was submitted again, as job-2."} in journal["findings"]
    events = [entry["event"] for entry in await told(kept, "job-2")]
    assert [event for event in events if event.startswith(("submit", "accepted"))] == [
        "submitted",
        "accepted_by_fal",
        "submit_repeated",
    ]


async def test_a_model_error_is_gone_at_the_second_try(database_url: str) -> None:
    """Against the emulator, watched: the first job fails, its retry completes."""
    faulty = {"prompt": "x", "_emulator": {"faults": ["model_error"], "once": True}}
    async with (
        emulated_fal(speed=40) as emulator,
        running_node(FalDouble(), emulator=emulator, database_url=database_url, keep_inputs=True) as node,
    ):
        first = (await node.client.post("/api/fal-jobs", json={"endpointId": ENDPOINT, "input": faulty})).json()
        assert await last_state(node, first["requestId"]) == ("failed", None)
        second = (await node.client.post(f"{first['links']['status']}/retry")).json()
        assert await last_state(node, second["requestId"]) == ("completed", first["requestId"])


async def last_state(node: Node, name: str) -> tuple[str, str | None]:
    """Watch a job until it ends: its status, and the job that it retries."""
    async with node.events(name) as events:
        states = [event.json() async for event in events if event.event == "job"]
    return states[-1]["status"], states[-1]["retryOf"]

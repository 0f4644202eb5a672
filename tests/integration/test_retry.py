"""Retry: the input of an ended job is submitted again, as a new job that names the old one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hookcast.client import ClientError, Hookcast, NotFound, Refused
from hookcast.routes import retry as retrying
from support.access import ADMIN, API_KEY, SETTINGS, token
from support.commands import hookcast, on_screen
from support.emulated import emulated_fal
from support.fal import ENDPOINT, FalDouble, sign
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio

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


@pytest.fixture
def fal() -> NumberingFal:
    """A fal that takes everything."""
    return NumberingFal()


@asynccontextmanager
async def keeping(fal: FalDouble, url: str, **settings: Any) -> AsyncIterator[Node]:
    """A server with keys and tokens that keeps inputs."""
    async with running_node(fal, database_url=url, **{**SETTINGS, "keep_inputs": True, **settings}) as node:
        yield node


@pytest.fixture
async def kept(database_url: str, fal: NumberingFal) -> AsyncIterator[Node]:
    """Such a server, with job-1 of user-1, which failed."""
    async with keeping(fal, database_url) as node:
        await fail(node)
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


async def test_the_python_client_retries(kept: Node, fal: NumberingFal) -> None:
    """As the owner, with and without a key."""
    async with Hookcast(kept.url, token=token(sub="user-1")) as client:
        made = await client.retry("job-1")
        assert (made.request_id, made.job.retry_of, made.job.owner) == ("job-2", "job-1", "user-1")
        assert (await client.retry("job-1")).request_id == "job-2"
        assert (await client.retry("job-1", idempotency_key="k")).request_id == "job-3"
        with pytest.raises(Refused) as refused:
            await client.retry("job-2")
        assert refused.value.code == "not_terminal"
        with pytest.raises(NotFound):
            await client.retry("job-9")
        await end(kept, "job-2")
        await end(kept, "job-3")
        fal.script(f"/{ENDPOINT}", httpx.ReadError("cut"), httpx.Response(404))
        for code in ("fal_unreachable", "submit_outcome_unknown"):
            with pytest.raises(ClientError) as failed:
                await client.retry("job-2", idempotency_key="dark")
            assert failed.value.code == code
        assert (await client.retry("job-2", idempotency_key="dark", again=True)).request_id == "job-4"
    assert len(fal.submits) == 5


async def test_the_command_line_retries(kept: Node, tmp_path: Path) -> None:
    """JSON in a pipe, a line for each on a terminal; the exit code says whether one failed."""
    given = {"HOOKCAST_TOKEN": API_KEY}
    said = await hookcast(tmp_path, "jobs", "retry", "job-1", "--url", kept.url, **given)
    assert (said.code, json.loads(said.out)["retryOf"]) == (0, "job-1")
    said = await hookcast(tmp_path, "jobs", "retry", "job-2", "--url", kept.url, **given)
    assert (said.code, "has ended" in said.err) == (1, True)
    screen = await on_screen(tmp_path, "jobs", "retry", "job-1", "--url", kept.url, **given)
    try:
        assert await screen.code() == 0
    finally:
        await screen.close()
    assert "job-1  submitted again as job-2: pending" in screen.text

"""The receivers of docs/backend.md, taken from the page: each run by its framework's server, and sent webhooks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from support.backends import BACKENDS, DEADLINE, SECRET, Backend
from support.postgres import Postgres
from support.server import PLAIN
from support.signing import OTHER_SECRET, event, signed

pytestmark = pytest.mark.anyio
CREDIT = 10
REFUSED = {400, 401}


@pytest.fixture(scope="module", params=list(BACKENDS))
async def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> AsyncIterator[Backend]:
    """Each receiver."""
    async with BACKENDS[request.param](tmp_path_factory.mktemp("backend"), postgres) as running:
        yield running


@pytest.fixture
async def owner(backend: Backend) -> str:
    """Someone who has an account at the receiver."""
    name = str(uuid.uuid4())
    await backend.accounts.open(name, CREDIT)
    return name


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """What sends: each webhook on a connection of its own, because a framework may close one after an error."""
    each_alone = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=DEADLINE, limits=each_alone, verify=PLAIN) as running:
        yield running


async def test_a_completed_job_is_charged(backend: Backend, owner: str, client: httpx.AsyncClient) -> None:
    body = event(owner)
    answer = await client.post(backend.url, content=body, headers=signed(body))
    assert answer.status_code == 204
    assert await backend.accounts.credit(owner) == CREDIT - 1


async def test_the_same_webhook_is_accepted_again_without_effect(
    backend: Backend, owner: str, client: httpx.AsyncClient
) -> None:
    body = event(owner)
    first, later = signed(body, webhook_id="msg_again"), signed(body, webhook_id="msg_again", age=timedelta(minutes=-1))
    answers = [await client.post(backend.url, content=body, headers=headers) for headers in (first, later)]
    assert [answer.status_code for answer in answers] == [204, 204]
    assert await backend.accounts.credit(owner) == CREDIT - 1


async def test_the_same_webhook_several_times_at_once_has_one_effect(
    backend: Backend, owner: str, client: httpx.AsyncClient
) -> None:
    body = event(owner)
    headers = signed(body)
    await asyncio.gather(*(client.post(backend.url, content=body, headers=headers) for _ in range(4)))
    assert await backend.accounts.credit(owner) == CREDIT - 1


async def test_what_could_not_be_stored_is_an_error_and_has_its_effect_when_told_again(
    backend: Backend, owner: str, client: httpx.AsyncClient
) -> None:
    body = event(owner)
    headers = signed(body)
    async with backend.accounts.away():
        failed = await client.post(backend.url, content=body, headers=headers)
    assert failed.status_code == 500
    answer = await client.post(backend.url, content=body, headers=headers)
    assert answer.status_code == 204
    assert await backend.accounts.credit(owner) == CREDIT - 1


@pytest.mark.parametrize("kind", ["job.failed", "job.cancelled", "job.progress"])
async def test_what_costs_nothing_is_accepted(
    backend: Backend, owner: str, client: httpx.AsyncClient, kind: str
) -> None:
    body = event(owner, kind)
    answer = await client.post(backend.url, content=body, headers=signed(body))
    assert answer.status_code == 204
    assert await backend.accounts.credit(owner) == CREDIT


@pytest.mark.parametrize("secrets", [(SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET)], ids=["first", "second"])
async def test_one_of_two_secrets_is_enough_while_they_change(
    backend: Backend, owner: str, client: httpx.AsyncClient, secrets: tuple[str, str]
) -> None:
    body = event(owner)
    answer = await client.post(backend.url, content=body, headers=signed(body, *secrets))
    assert answer.status_code == 204
    assert await backend.accounts.credit(owner) == CREDIT - 1


@pytest.mark.parametrize(
    "result",
    [{"text": "Grüße, 世界 🎬"}, {"video": "A" * 5_000_000}],
    ids=["beyond ASCII", "5 MB"],
)
async def test_any_result_is_accepted(
    backend: Backend, owner: str, client: httpx.AsyncClient, result: dict[str, str]
) -> None:
    body = event(owner, result=result)
    answer = await client.post(backend.url, content=body, headers=signed(body))
    assert answer.status_code == 204
    assert await backend.accounts.credit(owner) == CREDIT - 1


async def test_another_secret_is_refused(backend: Backend, owner: str, client: httpx.AsyncClient) -> None:
    body = event(owner)
    await _refuses(backend, owner, client, body, signed(body, OTHER_SECRET))


async def test_a_changed_body_is_refused(backend: Backend, owner: str, client: httpx.AsyncClient) -> None:
    body = event(owner, result={"seconds": 5})
    await _refuses(backend, owner, client, body.replace(b"5}", b"6}"), signed(body))


@pytest.mark.parametrize("minutes", [6, -6])
async def test_another_time_is_refused(backend: Backend, owner: str, client: httpx.AsyncClient, minutes: int) -> None:
    body = event(owner)
    await _refuses(backend, owner, client, body, signed(body, age=timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-signature": None},
        {"webhook-id": None},
        {"webhook-timestamp": None},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,?"},
        {"webhook-signature": "v2,AAAA v1,"},
        {"webhook-timestamp": "soon"},
        {"webhook-id": "msg_other"},
    ],
    ids=str,
)
async def test_other_headers_are_refused(
    backend: Backend, owner: str, client: httpx.AsyncClient, changes: dict[str, str | None]
) -> None:
    body = event(owner)
    changed = signed(body) | changes
    await _refuses(backend, owner, client, body, {name: value for name, value in changed.items() if value is not None})


async def test_a_body_that_is_no_text_is_refused(backend: Backend, owner: str, client: httpx.AsyncClient) -> None:
    body = event(owner)
    await _refuses(backend, owner, client, b"\xff\xfe" + body, signed(body))


async def _refuses(
    backend: Backend, owner: str, client: httpx.AsyncClient, body: bytes, headers: dict[str, str]
) -> None:
    """Require that the webhook is refused, and has no effect."""
    answer = await client.post(backend.url, content=body, headers=headers)
    assert answer.status_code in REFUSED, answer.text
    assert await backend.accounts.credit(owner) == CREDIT

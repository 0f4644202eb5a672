"""`verifyWebhook` of the npm package, in a running receiver, and webhooks that Hookcast itself has sent."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.access import ADMIN, API_KEY
from support.backends import DEADLINE, SECRET, Backend, express_with_hookcast
from support.fal import FalDouble
from support.postgres import Postgres
from support.receiver import Delivery, running_receiver
from support.server import PLAIN, running_node
from support.signing import OTHER_SECRET

pytestmark = pytest.mark.anyio
OWNER, CREDIT = "user-1", 10
LATER = "const now = Date.now; Date.now = () => now() + {seconds} * 1000;"


@pytest.fixture(params=[SECRET])
def signed_with(request: pytest.FixtureRequest) -> str:
    """What Hookcast signs with."""
    return str(request.param)


@pytest.fixture(params=[SECRET])
def verified_with(request: pytest.FixtureRequest) -> str:
    """What the receiver verifies with."""
    return str(request.param)


@pytest.fixture(params=[0])
def seconds(request: pytest.FixtureRequest) -> int:
    """How many seconds the clock of the receiver is ahead."""
    return int(request.param)


@pytest.fixture
async def delivery(fal: FalDouble, database_url: str, signed_with: str) -> Delivery:
    """What a Hookcast sends to its `HOOKCAST_FORWARD_URL` when a job has ended."""
    async with running_receiver() as backend:
        told = {"forward_url": backend.url, "forward_secret": signed_with, "api_keys": API_KEY}
        async with running_node(fal, database_url=database_url, **told) as node:
            registered = await node.client.put("/api/fal-jobs/job-1", json={"owner": OWNER}, headers=ADMIN)
            registered.raise_for_status()
            (await node.post_webhook(fal.webhook("job-1"))).raise_for_status()
            (found,) = await backend.received(1)
            return found


@pytest.fixture
async def backend(tmp_path: Path, postgres: Postgres, verified_with: str, seconds: int) -> AsyncIterator[Backend]:
    """The receiver."""
    folder = tmp_path / "backend"
    folder.mkdir()
    (folder / "later.mjs").write_text(LATER.format(seconds=seconds))
    environment = {"HOOKCAST_FORWARD_SECRET": verified_with, "NODE_OPTIONS": f"--import={folder}/later.mjs"}
    async with express_with_hookcast(folder, postgres, **environment) as running:
        await running.accounts.open(OWNER, CREDIT)
        yield running


async def _hears(backend: Backend, delivery: Delivery, *, body: bytes | None = None, **changes: str) -> bool:
    """Send the receiver what Hookcast sent, changed on the way; return whether it was accepted, and charged."""
    headers = {**delivery.headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    headers.pop("content-length")
    async with httpx.AsyncClient(timeout=DEADLINE, verify=PLAIN) as client:
        answer = await client.post(backend.url, content=body or delivery.body, headers=headers)
    charged = await backend.accounts.credit(OWNER) == CREDIT - 1
    assert (answer.status_code, charged) in {(204, True), (401, False)}
    return charged


BOTH = f"{OTHER_SECRET},{SECRET}"
ONE_IN_COMMON = [(SECRET, SECRET), (BOTH, SECRET), (BOTH, OTHER_SECRET), (SECRET, BOTH), (OTHER_SECRET, BOTH)]


@pytest.mark.parametrize(("signed_with", "verified_with"), ONE_IN_COMMON, indirect=True)
async def test_one_secret_in_common_is_enough_while_it_changes(backend: Backend, delivery: Delivery) -> None:
    assert await _hears(backend, delivery)


@pytest.mark.parametrize("verified_with", [OTHER_SECRET], indirect=True)
async def test_a_secret_that_was_replaced_is_refused(backend: Backend, delivery: Delivery) -> None:
    assert not await _hears(backend, delivery)


async def test_what_was_changed_on_the_way_is_refused(backend: Backend, delivery: Delivery) -> None:
    assert not await _hears(backend, delivery, body=delivery.body.replace(OWNER.encode(), b"user-2"))
    assert not await _hears(backend, delivery, body=delivery.body + b" ")
    assert not await _hears(backend, delivery, webhook_id="msg_another")
    later = int(delivery.headers["webhook-timestamp"]) + 1
    assert not await _hears(backend, delivery, webhook_timestamp=str(later))
    assert await _hears(backend, delivery)


@pytest.mark.parametrize("seconds", [600, -600], indirect=True)
async def test_five_minutes_early_or_late_it_is_refused(backend: Backend, delivery: Delivery) -> None:
    assert not await _hears(backend, delivery)


@pytest.mark.parametrize("seconds", [120], indirect=True)
async def test_a_clock_that_is_two_minutes_ahead_does_no_harm(backend: Backend, delivery: Delivery) -> None:
    assert await _hears(backend, delivery)

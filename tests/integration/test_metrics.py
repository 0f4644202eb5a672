"""What Prometheus is told: counted by the parts, read when somebody asks."""

from collections.abc import AsyncIterator

import httpx
import pytest
from nacl.signing import SigningKey
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from hookcast.push.stream import Stream
from hookcast.routes import openapi
from support.access import ADMIN, API_KEY, SECRET, token
from support.fal import ENDPOINT, FalDouble, sign
from support.measured import values
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def small(database_url: str, fal: FalDouble) -> AsyncIterator[Node]:
    """A server with room for one stream."""
    async with running_node(fal, database_url=database_url, max_streams=1) as node:
        yield node


async def test_webhooks_are_counted_by_their_answer(node: Node) -> None:
    """Those that were refused, too, each with its time."""
    body = node.fal.webhook("job-1")
    for _ in range(2):
        await node.post_webhook(body)
    await node.post_webhook(body, {})
    found = await values(node)
    for answer in ("accepted", "duplicate", "signature_missing"):
        assert found[f'hookcast_webhooks_total{{answer="{answer}"}}'] == 1
    assert found["hookcast_webhook_seconds_count"] == 3


async def test_jobs_that_end_are_counted_once_by_who_told(node: Node) -> None:
    """A webhook that is repeated ends nothing."""
    await node.post_webhook(node.fal.webhook("job-1"))
    await node.post_webhook(node.fal.webhook("job-1"))
    await node.post_webhook(node.fal.webhook("job-2", status="ERROR"))
    found = await values(node)
    assert found['hookcast_jobs_ended_total{source="webhook",status="completed"}'] == 1
    assert found['hookcast_jobs_ended_total{source="webhook",status="failed"}'] == 1
    assert {value for name, value in found.items() if 'source="fal"' in name} == {0}


async def test_submits_are_counted_by_their_answer(node: Node) -> None:
    """What was taken, and what was not."""
    node.fal.script(ENDPOINT, httpx.Response(200, json={"request_id": "job-1"}))
    assert (await node.submit()).status_code == 202
    await node.client.post("/api/fal-jobs", json={})
    found = await values(node)
    assert found['hookcast_submits_total{answer="accepted"}'] == 1
    assert found['hookcast_submits_total{answer="invalid_request"}'] == 1


async def test_streams_are_counted_while_they_are_open_and_for_ever(node: Node) -> None:
    """With the states that went to them."""
    async with node.events("job-1") as events:
        await until(lambda: node.engine.admission.streams)
        assert (await values(node))['hookcast_streams{transport="sse"}'] == 1
        await node.post_webhook(node.fal.webhook("job-1"))
        await anext(events)
    await until(lambda: not node.engine.admission.streams)
    found = await values(node)
    assert found['hookcast_streams{transport="sse"}'] == 0
    assert found['hookcast_streams_opened_total{transport="sse"}'] == 1
    assert found["hookcast_states_pushed_total"] >= 1
    assert found["hookcast_bus_up"] == 1


async def test_a_stream_without_room_is_counted_by_its_code(small: Node) -> None:
    """And not as one that was opened."""
    async with small.events("job-1"):
        assert (await small.client.get("/api/fal-jobs/job-2/events")).status_code == 503
        found = await values(small)
    assert found['hookcast_streams_refused_total{code="too_many_streams"}'] == 1
    assert found['hookcast_streams_opened_total{transport="sse"}'] == found["hookcast_streams_limit"] == 1


async def test_a_stream_that_is_closed_as_slow_is_counted_once(node: Node) -> None:
    """However often it is found to be slow."""
    async with node.events("job-1"):
        await until(lambda: node.engine.admission.streams)
        [stream] = node.engine.admission.streams
        assert isinstance(stream, Stream)
        for _ in range(2):
            stream.refuse_slow()
    assert (await values(node))["hookcast_streams_slow_total"] == 1


async def test_what_is_read_twice_is_counted_once(node: Node) -> None:
    await node.post_webhook(node.fal.webhook("job-1"))
    assert await values(node)
    assert (await values(node))['hookcast_jobs_ended_total{source="webhook",status="completed"}'] == 1


async def test_every_series_begins_at_0(node: Node) -> None:
    """Prometheus sees no step of a series that begins at 1; and each counter is there once."""
    first = await values(node)
    await node.post_webhook(node.fal.webhook("job-1"))
    await node.post_webhook(node.fal.webhook("job-2"), sign(b"", SigningKey.generate()))
    await node.client.post("/api/fal-jobs", json={})
    async with node.events("job-2"):
        node.engine.admission.drain()
        await node.client.get("/api/fal-jobs/job-3/events")
    later = await values(node)
    counted = {name: value for name, value in later.items() if "_total" in name and value != first.get(name)}
    assert len(counted) >= 6, counted
    assert {first.get(name) for name in counted if not name.startswith("process_")} == {0}
    assert later.keys() == first.keys()
    assert not any("_created" in name for name in later)


@pytest.mark.parametrize(
    ("method", "path", "name"), [("post", "/api/webhooks/fal", "webhooks"), ("post", "/api/fal-jobs", "submits")]
)
async def test_every_documented_answer_has_a_series(node: Node, method: str, path: str, name: str) -> None:
    """By its code, before it is ever given."""
    found = await values(node)
    for answer in ("accepted", *openapi.codes(method, path)):
        assert found[f'hookcast_{name}_total{{answer="{answer}"}}'] == 0


async def test_openmetrics_is_sent_to_those_who_accept_it(node: Node) -> None:
    """As Prometheus asks for it."""
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.4"
    answer = await node.client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "hookcast_build_info" in {family.name for family in openmetrics(answer.text)}  # type: ignore[no-untyped-call]
    assert "_created" not in answer.text


async def test_a_server_with_keys_shows_its_numbers_to_a_key_only(database_url: str, fal: FalDouble) -> None:
    """A token shows jobs, and no more."""
    settings = {"api_keys": API_KEY, "token_secret": SECRET}
    async with running_node(fal, database_url=database_url, **settings) as node:
        answers = [
            await node.client.get("/metrics", headers=headers)
            for headers in ({}, {"Authorization": f"Bearer {token(sub='user-1')}"}, ADMIN)
        ]
    assert [answer.status_code for answer in answers] == [401, 403, 200]

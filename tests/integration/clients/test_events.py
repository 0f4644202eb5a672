"""SSE, read by the clients that people use: nothing of Hookcast's on their side."""

import json

import pytest

from integration.clients import hard
from support.clients import STATUS, Seen, Watch, after, curl
from support.server import Node
from support.tap import tapped

pytestmark = pytest.mark.anyio
PATH = "/api/fal-jobs/job-1/events"


async def test_each_state_is_read_before_the_next_one_is_sent(node: Node, watch: Watch) -> None:
    """State first, then the newer one, then the last one and `end`."""
    await node.register("job-1")
    async with watch(node.url + PATH) as seeing:
        first = await after(seeing, "open")
        await node.register("job-1", owner="user-1")
        second = await anext(seeing)
        await node.post_webhook(node.fal.webhook("job-1"))
        third, end = await anext(seeing), await anext(seeing)
    assert [(seen.event, seen.id) for seen in (first, second, third)] == [("job", "1"), ("job", "2"), ("job", "3")]
    assert (second.json()["owner"], third.json()["status"]) == ("user-1", "completed")
    assert end == Seen("end", "end", "{}")


async def test_a_large_result_with_hard_characters_arrives_byte_for_byte(node: Node, watch: Watch) -> None:
    """What a client gets as text is what polling answers, and fal's JSON in it is fal's."""
    async with watch(node.url + PATH) as seeing:
        await node.post_webhook(hard.WEBHOOK)
        job = await after(seeing, "open")
    assert job.data == (await node.client.get("/api/fal-jobs/job-1")).text
    assert f'"result":{hard.RESULT},' in job.data


@pytest.mark.parametrize("watch", ["curl", "httpx-sse", "fetch-event-source"], indirect=True)
async def test_a_client_that_does_not_reconnect_ends_with_the_stream(node: Node, watch: Watch) -> None:
    """Whoever comes back with `Last-Event-ID: end` gets 204 and nothing."""
    await node.post_webhook(node.fal.webhook("job-1"))
    async with watch(node.url + PATH) as seeing:
        assert [seen.event async for seen in seeing if seen.event != "open"] == ["job", "end"]
    async with curl(node.url + PATH, "-H", "Last-Event-ID: end", *STATUS) as seeing:
        assert [seen async for seen in seeing] == [Seen("status", "1.1", "204")]


@pytest.mark.parametrize("watch", ["eventsource", "chromium"], indirect=True)
async def test_an_event_source_stops_after_exactly_one_further_request(node: Node, watch: Watch) -> None:
    """It comes back with the id of `end`, gets 204, and is CLOSED."""
    await node.post_webhook(node.fal.webhook("job-1"))
    async with tapped(node.url) as (url, tap), watch(url + PATH) as seeing:
        happened = [await anext(seeing) for _ in range(5)]
        assert [seen.event for seen in happened] == ["open", "job", "end", "error", "error"]
        assert [seen.data for seen in happened if seen.event == "error"] == ["0", "2"]  # CONNECTING, CLOSED
        assert tap.last_ids(PATH) == [None, "end"]


async def test_many_jobs_and_a_group_in_one_stream(node: Node, watch: Watch) -> None:
    """Each job by its name or its group, and no other."""
    await node.register("a")
    await node.register("of-the-group", group="g")
    await node.register("other")
    async with watch(f"{node.url}/api/fal-jobs/events?requestId=a&requestId=b&group=g") as seeing:
        first = {(await after(seeing, "open")).json()["requestId"] for _ in range(2)}
        for name in ("other", "b", "of-the-group", "a"):
            await node.post_webhook(node.fal.webhook(name))
        later = [json.loads((await anext(seeing)).data) for _ in range(3)]
    assert first == {"a", "of-the-group"}
    assert [(job["requestId"], job["status"]) for job in later] == [
        ("b", "completed"),
        ("of-the-group", "completed"),
        ("a", "completed"),
    ]

"""The SSE streams of one job and of many, read by an independent client from a real port."""

from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from support.fal import ENDPOINT, FalDouble, LiveStream, sse_answer
from support.push import nothing_left
from support.server import Node, running_node, until

pytestmark = pytest.mark.anyio


async def test_a_stream_begins_with_the_state_and_ends_with_the_job(node: Node) -> None:
    """State first, then the new one, then `end` and the close."""
    await node.register("job-1", metadata={"note": "a\u2028b"})
    async with node.events("job-1") as events:
        first = await anext(events)
        await node.post_webhook(node.fal.webhook("job-1"))
        rest = [event async for event in events]
    assert (first.event, first.id, first.json()["status"]) == ("job", "1", "pending")
    assert [(event.event, event.id) for event in rest] == [("job", "2"), ("end", "end")]
    assert rest[0].json()["result"] == {"seed": 12345678901234567890}


async def test_a_stream_may_be_opened_before_the_job_is_known(node: Node) -> None:
    """It waits and gets the first state when it appears."""
    async with node.events("job-1") as events:
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [event.event async for event in events] == ["job", "end"]


async def test_a_reconnect_after_the_end_is_answered_204(node: Node) -> None:
    """By header or query: it stops a native EventSource."""
    path = "/api/fal-jobs/job-1/events"
    by_header = await node.client.get(path, headers={"Last-Event-ID": "end"})
    by_query = await node.client.get(path, params={"lastEventId": "end"})
    assert [by_header.status_code, by_query.status_code] == [204, 204]


async def test_the_headers_keep_proxies_from_holding_back(node: Node) -> None:
    """As the protocol page lists them; HEAD too."""
    answer = await node.client.head("/api/fal-jobs/job-1/events")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    async with node.client.stream("GET", "/api/fal-jobs/job-1/events") as stream:
        assert {"date", "content-type", "cache-control", "x-accel-buffering"} <= stream.headers.keys()


async def test_line_breaks_inside_fals_json_do_not_break_the_frame(node: Node) -> None:
    """A pretty-printed payload arrives whole."""
    body = b'{"request_id": "job-1", "status": "OK", "payload": {\r\n  "a":\n 1\r}}'
    await node.post_webhook(body)
    async with node.events("job-1") as events:
        assert (await anext(events)).json()["result"] == {"a": 1}


async def test_silence_is_broken_by_pings_and_the_lifetime_ends_the_stream(database_url: str, fal: FalDouble) -> None:
    """A comment each heartbeat, then a `retry:` and the close."""
    times: dict[str, Any] = {"heartbeat_seconds": 0.05, "stream_lifetime_seconds": 0.5}
    async with running_node(fal, database_url=database_url, **times) as node:
        text = (await node.client.get("/api/fal-jobs/job-1/events")).text
    assert text.count(": ping\n") >= 2
    assert text.count("retry: ") == 2


async def test_a_drain_tells_open_streams_to_come_back(node: Node) -> None:
    """`retry:` and a clean close; new streams get 503."""
    async with node.client.stream("GET", "/api/fal-jobs/job-1/events") as open_stream:
        chunks = open_stream.aiter_text()
        text = await anext(chunks)
        node.engine.admission.drain()
        async for chunk in chunks:
            text += chunk
    refused = await node.client.get("/api/fal-jobs/job-1/events")
    assert text.count("retry: ") == 2
    assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert refused.headers["retry-after"]


async def test_nothing_is_left_of_clients_that_leave(node: Node) -> None:
    """The hub forgets the job with its last watcher."""
    async with node.events("job-1"):
        await until(lambda: len(node.engine.hub))
    await until(lambda: len(node.engine.hub) == 0)


async def test_a_watched_job_shows_fals_progress_and_heals_a_lost_webhook(node: Node) -> None:
    """Phase, position and log lines come from the status stream; the result is fetched when no webhook comes."""
    node.fal.script(
        "/status/stream",
        sse_answer(
            {"status": "IN_QUEUE", "queue_position": 1},
            {"status": "IN_PROGRESS", "logs": [{"message": "50%", "timestamp": "t1"}]},
            {"status": "COMPLETED", "logs": [{"message": "done", "timestamp": "t2"}]},
        ),
    )
    node.fal.script("/requests/job-1", httpx.Response(200, json={"ok": True}))
    await node.register("job-1", endpointId=ENDPOINT)
    async with node.events("job-1") as events:
        states = [event.json() async for event in events if event.event == "job"]
    assert [line["message"] for line in states[-1]["progress"]["logs"]] == ["50%", "done"]
    assert (states[-1]["status"], states[-1]["result"]) == ("completed", {"ok": True})
    versions = [state["version"] for state in states]
    assert versions == sorted(set(versions))


async def test_a_job_that_fal_does_not_know_is_followed_no_further(node: Node) -> None:
    """404 from the status stream: the stream stays open for the webhook."""
    await node.register("job-1", endpointId=ENDPOINT)
    async with node.events("job-1") as events:
        await anext(events)
        await until(lambda: node.fal.asked("/status/stream"))
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [event.event async for event in events] == ["job", "end"]


async def test_fals_status_stream_is_open_as_long_as_somebody_watches(node: Node) -> None:
    """Once for two watchers; it is closed when the last one leaves, and opened again for the next."""
    first, second = LiveStream(), LiveStream()
    node.fal.script("/status/stream", first, second)
    await node.register("job-1", endpointId=ENDPOINT)
    async with node.events("job-1"):
        async with node.events("job-1") as events:
            await until(lambda: first.opened)
            first.tell({"status": "IN_QUEUE", "queue_position": 7})
            states = (event.json() async for event in events)
            while (await anext(states))["progress"]["queuePosition"] != 7:
                pass
        assert not first.closed
    await until(lambda: first.closed)
    async with node.events("job-1"):
        await until(lambda: second.opened)
    await until(lambda: second.closed)
    assert len(node.fal.asked("/status/stream")) == 2


async def test_fals_status_stream_is_closed_when_the_webhook_ends_the_job(node: Node) -> None:
    """Whatever fal's stream says, or does not say, afterwards."""
    stream = LiveStream()
    node.fal.script("/status/stream", stream)
    await node.register("job-1", endpointId=ENDPOINT)
    async with node.events("job-1") as events:
        await until(lambda: stream.opened)
        await node.post_webhook(node.fal.webhook("job-1"))
        assert [event.event async for event in events][-1] == "end"
    await until(lambda: stream.closed)
    assert len(node.fal.asked("/status/stream")) == 1


async def test_a_stream_of_many_jobs_and_groups(node: Node) -> None:
    """All known states first, each job once, and no end while it names a group."""
    await node.register("job-1", group="g")
    await node.post_webhook(node.fal.webhook("job-2"))
    query = {"requestId": ["job-1", "job-2", "job-1"], "group": "g"}
    async with aconnect_sse(node.client, "GET", "/api/fal-jobs/events", params=query) as source:
        events = source.aiter_sse()
        first = [(await anext(events)).json()["requestId"] for _ in range(2)]
        assert sorted(first) == ["job-1", "job-2"]
        await node.post_webhook(node.fal.webhook("job-1"))
        await node.register("job-3", group="g")
        rest = [(await anext(events)).json() for _ in range(2)]
    assert [(state["requestId"], state["version"]) for state in rest] == [("job-1", 2), ("job-3", 1)]
    await until(lambda: nothing_left(node.engine))


async def test_a_stream_of_many_jobs_ends_with_the_last_of_them(node: Node) -> None:
    """Those that ended before it began count as well."""
    names = [f"job-{number}" for number in range(5)]
    for name in names[:-1]:
        await node.post_webhook(node.fal.webhook(name))
    async with aconnect_sse(node.client, "GET", "/api/fal-jobs/events", params={"requestId": names}) as source:
        events = source.aiter_sse()
        assert {(await anext(events)).json()["requestId"] for _ in range(4)} == set(names[:-1])
        await node.post_webhook(node.fal.webhook(names[-1]))
        assert [event.event async for event in events] == ["job", "end"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"requestId": [f"job-{number}" for number in range(201)]},
        {"requestId": [f"job-{number}" for number in range(150)], "group": [f"g-{number}" for number in range(51)]},
        {"requestId": ""},
        {"requestId": "a/b"},
        {"group": ""},
        {"group": "g" * 201},
    ],
)
async def test_names_that_cannot_be_watched_are_refused(node: Node, query: dict[str, Any]) -> None:
    """422, and nothing is left."""
    answer = await node.client.get("/api/fal-jobs/events", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert nothing_left(node.engine)


async def test_a_reconnect_of_many_after_the_end_is_answered_204(node: Node) -> None:
    answer = await node.client.get("/api/fal-jobs/events?requestId=a&lastEventId=end")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_200_names_are_taken(node: Node) -> None:
    query = {"requestId": [f"job-{number}" for number in range(150)], "group": [f"g-{number}" for number in range(50)]}
    async with node.client.stream("GET", "/api/fal-jobs/events", params=query) as answer:
        assert answer.status_code == 200
        assert (await anext(answer.aiter_text())).startswith("retry: ")
        assert len(node.engine.hub) == 200

"""Streams with sse-starlette, as its users write them: one generator and one queue per stream."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Event = dict[str, str | int]
queues: defaultdict[str, set[asyncio.Queue[Event]]] = defaultdict(set)


async def events(request: Request) -> Response:
    """Handle GET /events/{topic}."""
    topic = request.path_params["topic"]
    queue: asyncio.Queue[Event] = asyncio.Queue()

    async def stream() -> AsyncIterator[Event]:
        queues[topic].add(queue)
        try:
            yield {"retry": 2000}
            while True:
                yield await queue.get()
        finally:
            queues[topic].discard(queue)
            if not queues[topic]:
                del queues[topic]

    response: Response = EventSourceResponse(stream())
    return response


async def publish(request: Request) -> Response:
    """Handle POST /publish/{topic}?version=N."""
    body = (await request.body()).decode()
    event: Event = {"id": request.query_params["version"], "event": "job", "data": body}
    for queue in queues.get(request.path_params["topic"], ()):
        queue.put_nowait(event)
    return Response(status_code=202)


app = Starlette(routes=[Route("/events/{topic}", events), Route("/publish/{topic}", publish, methods=["POST"])])

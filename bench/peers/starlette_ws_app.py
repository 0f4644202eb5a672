"""Starlette's WebSocket, as its users write it: one queue and one sending task per connection."""

import asyncio
from collections import defaultdict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

queues: defaultdict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def watch(websocket: WebSocket) -> None:
    """Handle WebSocket /ws/{topic}. Receiving detects that the client has disconnected."""
    topic = websocket.path_params["topic"]
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues[topic].add(queue)
    await websocket.accept()
    sending = asyncio.create_task(send(websocket, queue))
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        sending.cancel()
    finally:
        queues[topic].discard(queue)
        if not queues[topic]:
            del queues[topic]


async def send(websocket: WebSocket, queue: asyncio.Queue[str]) -> None:
    """Send queued messages in order."""
    while True:
        await websocket.send_text(await queue.get())


async def publish(request: Request) -> Response:
    """Handle POST /publish/{topic}."""
    body = (await request.body()).decode()
    for queue in queues.get(request.path_params["topic"], ()):
        queue.put_nowait(body)
    return Response(status_code=202)


app = Starlette(routes=[WebSocketRoute("/ws/{topic}", watch), Route("/publish/{topic}", publish, methods=["POST"])])

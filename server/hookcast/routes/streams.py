"""SSE: the stream of one job (WHATWG HTML, section 9.2)."""

import asyncio
import random

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hookcast.errors import Draining
from hookcast.logs import get_logger
from hookcast.push import Drained, Watch
from hookcast.routes.reading import request_id_of
from hookcast.routes.services import Services, services
from hookcast.wire import END_FRAME, END_ID, PING_FRAME, encode, sse_job, sse_retry

SEND_SECONDS = 30.0  # a reader that stays behind for longer is let go
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_log = get_logger(__name__)


async def job_events(request: Request) -> "Response | EventStream":
    """GET /api/fal-jobs/{requestId}/events."""
    node, request_id = services(request), request_id_of(request)
    last = request.headers.get("last-event-id") or request.query_params.get("lastEventId")
    if last == END_ID:
        return Response(status_code=204)
    if node.hub.draining:
        raise Draining("The server is restarting; connect again in a moment.")
    return EventStream(node, request_id)


class EventStream:
    """A response that lasts until the job has ended, the client has left, or the stream's lifetime is over."""

    def __init__(self, node: Services, request_id: str) -> None:
        self._node = node
        self._request_id = request_id
        settings = node.settings
        self._ends_at = asyncio.get_running_loop().time() + settings.stream_lifetime_seconds * random.uniform(0.8, 1)  # noqa: S311

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Listen, read the state, then answer: a job that cannot be read is a problem, not a broken stream."""
        node = self._node
        async with node.hub.watch(node.bus, self._request_id) as watch:
            job = await node.store.get(self._request_id)
            if job is not None:
                watch.offer(encode(job))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_leave_with_client, receive, tasks.cancel_scope)
                try:
                    await self._answer(watch, send, head=scope["method"] == "HEAD")
                except TimeoutError:
                    _log.info("slow_reader_closed", request_id=self._request_id)
                tasks.cancel_scope.cancel()

    async def _answer(self, watch: Watch, send: Send, *, head: bool) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        if not head:
            await _write(send, sse_retry(random.randint(1000, 3000)))  # noqa: S311
            await self._push(watch, send)
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _push(self, watch: Watch, send: Send) -> None:
        heartbeat = self._node.settings.heartbeat_seconds
        while True:
            left = self._ends_at - asyncio.get_running_loop().time()
            try:
                state = await watch.next(max(0.0, min(heartbeat, left)))
            except Drained:
                return await _write(send, self._farewell())
            if state is not None:
                await _write(send, sse_job(state) + (END_FRAME if state.terminal else b""))
                if state.terminal:
                    return None
            elif left <= heartbeat:
                return await _write(send, self._farewell())
            else:
                await _write(send, PING_FRAME)

    def _farewell(self) -> bytes:
        """Spread the reconnects over the drain window, so that the next node is not stormed."""
        window = max(self._node.settings.drain_seconds, 1.0)
        return sse_retry(round(random.uniform(0.5, window) * 1000))  # noqa: S311


async def _leave_with_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _write(send: Send, data: bytes) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send({"type": "http.response.body", "body": data, "more_body": True})

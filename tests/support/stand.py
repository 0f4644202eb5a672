"""Counterparts of the Python client: a scripted server, a network with failures, a buffering proxy."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from support.connections import connected, listening
from support.falhost import served_app

Answer = Callable[[Request], Response]
Meddle = Callable[[httpx.Request], "httpx.Response | Exception | None"]


def job(version: int, status: str = "pending", **facts: Any) -> dict[str, Any]:
    """Return a state, with a key that no client knows yet."""
    return {"requestId": "job-1", "status": status, "version": version, "result": None, "novelty": [1], **facts}


def sse(*parts: str | dict[str, Any], then: asyncio.Event | None = None) -> Answer:
    """Respond with a stream of frames; a dict is a state. It ends, or stays open until `then` is set."""

    async def body() -> AsyncIterator[str]:
        yield "retry: 1\n"
        for part in parts:
            yield part if isinstance(part, str) else f"event: job\ndata: {json.dumps(part)}\n\n"
        if then is not None:
            await then.wait()

    return lambda _request: StreamingResponse(body(), media_type="text/event-stream")


def state(*arguments: Any, **facts: Any) -> Answer:
    """Respond to a poll with one state."""
    return lambda _request: JSONResponse(job(*arguments, **facts))


def problem(status: int, code: str, **headers: str) -> Answer:
    """Respond with a problem document (RFC 9457)."""
    body = json.dumps({"title": "No", "status": status, "detail": f"It is {code}.", "code": code})
    return lambda _request: Response(body, status, headers, "application/problem+json")


def plain(status: int, **headers: str) -> Answer:
    """Respond with HTML, as Hookcast never does."""
    return lambda _request: Response("<h1>No</h1>", status, headers, "text/html")


class Stand:
    """A server that sends its answers in order, whatever the request; the last one repeats."""

    def __init__(self, url: str, answers: "deque[Answer]", asked: list[Request]) -> None:
        self.url = url
        self._answers = answers
        self.asked = asked

    @property
    def tokens(self) -> list[str]:
        """The Authorization header of each request."""
        return [request.headers.get("authorization", "") for request in self.asked]

    @property
    def paths(self) -> list[str]:
        """The path of each request."""
        return [request.url.path for request in self.asked]


@asynccontextmanager
async def standing(*answers: Answer) -> AsyncIterator[Stand]:
    """Run a server inside the block."""
    script, asked = deque(answers), list[Request]()

    async def answer(request: Request) -> Response:
        asked.append(request)
        return (script.popleft() if len(script) > 1 else script[0])(request)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])
    async with served_app(app) as url:
        yield Stand(url, script, asked)


class Meddling(httpx.AsyncBaseTransport):
    """A network in which `meddle` may answer or fail a request before it reaches the server."""

    def __init__(self, meddle: Meddle) -> None:
        self._meddle = meddle
        self._real = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through `meddle`; implements httpx's interface."""
        met = self._meddle(request)
        if isinstance(met, Exception):
            raise met
        return met if met is not None else await self._real.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the real transport; implements httpx's interface."""
        await self._real.aclose()


async def _pass_on(target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on one request, and its response once that is complete."""
    request = await reader.readuntil(b"\r\n\r\n")
    async with connected(target) as (far_reader, far):
        far.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        reading, leaving = asyncio.ensure_future(far_reader.read()), asyncio.ensure_future(reader.read())
        try:
            await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                writer.write(reading.result())
                await writer.drain()
        finally:
            reading.cancel()
            leaving.cancel()
            await asyncio.gather(reading, leaving, return_exceptions=True)


@asynccontextmanager
async def buffering_proxy(target: int) -> AsyncIterator[str]:
    """Run a proxy that buffers each response until it is complete, and yield its URL."""
    async with listening(partial(_pass_on, target)) as port:
        yield f"http://127.0.0.1:{port}"

"""fal on a real port, in the test's own event loop: its JWKS, and a queue answered by the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from nacl.signing import SigningKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hookcast.serving.server import Server, Site, bind
from support.fal import jwk

Answer = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def served_app(app: ASGIApp, drain: Callable[[], None] = lambda: None) -> AsyncIterator[str]:
    """Serve the application inside the block, and yield its URL."""
    listener = bind("127.0.0.1", 0)
    ready = asyncio.Event()
    server = Server(Site(app, listener, drain), ready.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def _unknown(_request: Request) -> Response:
    return JSONResponse({"detail": "Request not found"}, 404)


@asynccontextmanager
async def running_falhost(key: SigningKey, answer: Answer = _unknown) -> AsyncIterator[dict[str, str]]:
    """Serve fal's JWKS and queue, and yield the settings that point a node to it; `answer` handles queue requests."""

    async def keys(_request: Request) -> Response:
        return JSONResponse({"keys": [jwk(key)]})

    app = Starlette(routes=[Route("/jwks.json", keys), Route("/{path:path}", answer, methods=["GET", "PUT", "POST"])])
    async with served_app(app) as url:
        yield {"fal_jwks_url": f"{url}/jwks.json", "fal_queue_url": url}

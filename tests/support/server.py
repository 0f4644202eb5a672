"""A real Hookcast server on a real port, in the test's own event loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from starlette.applications import Starlette

from hookcast.app import create_app, make_admission
from hookcast.push import Engine
from hookcast.routes.services import Services
from hookcast.serving import Deadlines
from hookcast.serving.server import Server, Site, bind
from hookcast.settings import Settings
from support.fal import ENDPOINT, JWKS, QUEUE, FalDouble, sign

DEADLINE = 120.0
# Expire before the server closes them, which could coincide with the next request.
CONNECTIONS = httpx.Limits(keepalive_expiry=2.0)
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: by default each one loads all certificate authorities, which takes longer than a test."""


@dataclass
class Node:
    """A running server and its client."""

    url: str
    client: httpx.AsyncClient
    fal: FalDouble
    services: Services
    server: Server
    opened: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        """The push engine."""
        return self.services.engine

    async def post_webhook(self, body: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a webhook, validly signed unless other headers are given."""
        signed = sign(body, self.fal.key) if headers is None else headers
        return await self.client.post("/api/webhooks/fal", content=body, headers=dict(signed))

    async def register(self, request_id: str, **facts: Any) -> httpx.Response:
        """Register a job."""
        return await self.client.put(f"/api/fal-jobs/{request_id}", json=facts)

    async def submit(self, **headers: str) -> httpx.Response:
        """Submit a job to the double."""
        body = {"endpointId": ENDPOINT, "input": {"prompt": "a cat"}, "owner": "user-1"}
        return await self.client.post("/api/fal-jobs", json=body, headers=headers)

    @asynccontextmanager
    async def events(self, request_id: str, **headers: str) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """Open the SSE stream of a job with httpx-sse, an independent client."""
        path = f"/api/fal-jobs/{request_id}/events"
        async with aconnect_sse(self.client, "GET", path, headers=headers) as source:
            yield source.aiter_sse()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something in this event loop has happened. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - a test is not notified when a client has disconnected
            await asyncio.sleep(0.001)  # lets other threads run, such as the database's


def services_of(app: Starlette) -> list[Services]:
    """Return a list that contains the app's services once it has started."""
    found: list[Services] = []
    original = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(given: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with original(given) as state:
            assert state is not None
            await until(lambda: state["node"].ready)  # a slow machine begins to serve before its database is open
            found.append(state["node"].services)
            yield state

    app.router.lifespan_context = lifespan
    return found


async def serve(server: Server, listener: socket.socket) -> None:
    """Run the server. One that does not start fails its test alone: uvicorn's SystemExit would end the event loop."""
    try:
        await server.serve(sockets=[listener])
    except SystemExit as error:
        raise RuntimeError(f"the server ended with exit code {error.code}") from error


@asynccontextmanager
async def running_node(fal: FalDouble, *, emulator: str | None = None, **settings: Any) -> AsyncIterator[Node]:
    """Run a server whose fal is the double, or an emulator at this URL; stop it with the block, streams included.

    `settings` may include the `deadlines` of its connections.
    """
    deadlines = settings.pop("deadlines", Deadlines())
    values = {"fal_key": "key-of-the-test", "fal_queue_url": QUEUE, "fal_jwks_url": JWKS} | settings
    values.setdefault("public_url", "https://hookcast.example")
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if emulator is not None:
        values |= {"fal_queue_url": emulator, "fal_jwks_url": f"{emulator}/.well-known/jwks.json", "public_url": url}
    given = Settings(**values)
    admission = make_admission(given)
    ready = asyncio.Event()
    app = create_app(given, admission=admission, transport=None if emulator else fal)
    parts = services_of(app)
    site = Site(app, listener, admission.drain, deadlines, given.proxies, access_log=given.access_log)
    server = Server(site, ready.set)
    async with asyncio.timeout(DEADLINE * 2):
        serving = asyncio.ensure_future(serve(server, listener))
        serving.add_done_callback(lambda _: ready.set())
        try:
            await ready.wait()
            assert parts, "the server did not start"
            async with httpx.AsyncClient(base_url=url, timeout=DEADLINE, limits=CONNECTIONS, verify=PLAIN) as client:
                yield Node(url, client, fal, parts[0], server)
        finally:  # stop the server even when the test fails
            server.should_exit = True
            await serving

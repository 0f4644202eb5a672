"""The emulator and a receiver of webhooks, each a real server on a real port in the test's own event loop."""

import asyncio
import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import msgspec
import uvicorn
from nacl.signing import VerifyKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hookcast.emulator import create_emulator
from hookcast.emulator.queue import Phase, UnknownJob
from hookcast.fal.signature import SignedHeaders, decode_key
from hookcast.serving.server import config_of
from support.server import PLAIN

Sleep = Callable[[float], Awaitable[None]]

DEADLINE = 120.0
SPEED = 50.0
KEY = {"Authorization": "Key any-key-will-do"}
VIDEO = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"
IMAGE = "fal-ai/flux/dev"
ASKED = re.compile(r"/requests/([^/]+)/status")


class _Server(uvicorn.Server):
    def __init__(self, app: ASGIApp, port: int) -> None:
        config = config_of(app)
        config.port = port
        super().__init__(config)
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to pytest."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the test when the port is open."""
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Stop when told so, not at the next tick."""
        await self.stopping.wait()


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve the app on this (or a free) port of 127.0.0.1; gives its URL without a slash at the end."""
    server = _Server(app, port)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        try:
            async with asyncio.timeout(DEADLINE):
                await server.ready.wait()
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            server.stopping.set()


class Patient:
    """The emulator, whose jobs begin when their status is first asked for: a slow client misses no state."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._begun: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the emulator does."""
        if scope["type"] == "http" and (found := ASKED.search(scope["path"])):
            self._begin(found[1])
        await self._app(scope, receive, send)

    def _begin(self, request_id: str) -> None:
        if request_id in self._begun:
            return
        self._begun.add(request_id)
        with suppress(UnknownJob):
            job, now = self._app.state.emulator.jobs.find(request_id), asyncio.get_running_loop().time()
            if job.moment(now).phase is not Phase.COMPLETED:
                job.submitted = now
                job.changed.notify()


@dataclass(frozen=True)
class Delivery:
    """One webhook as it arrived."""

    headers: SignedHeaders
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body as a client reads it."""
        return msgspec.json.decode(self.body, type=dict[str, object])


@dataclass
class Receiver:
    """Answers webhooks with the codes of `answers`, then with 200; a `gate` that is closed holds them."""

    url: str = ""
    answers: deque[int] = field(default_factory=deque)
    received: list[Delivery] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def app(self) -> Starlette:
        """The server side."""
        return Starlette(routes=[Route("/hook", self._hook, methods=["POST", "GET"])])

    async def wait(self, count: int = 1) -> list[Delivery]:
        """The webhooks so far, as soon as there are so many."""
        async with asyncio.timeout(DEADLINE), self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)
            return list(self.received)

    async def _hook(self, request: Request) -> Response:
        delivery = Delivery(SignedHeaders.read(request.headers), await request.body())
        async with self._arrived:
            self.received.append(delivery)
            self._arrived.notify_all()
        await self.gate.wait()
        code = self.answers.popleft() if self.answers else 200
        return Response(status_code=code, headers={"location": self.url} if code == 307 else None)


@dataclass(frozen=True)
class Job:
    """A submitted job and the addresses of fal's answer."""

    answer: dict[str, object]

    @property
    def request_id(self) -> str:
        """fal's id."""
        return str(self.answer["request_id"])

    def url(self, name: str) -> str:
        """One of response_url, status_url and cancel_url."""
        return str(self.answer[name])


@dataclass(frozen=True)
class Emulated:
    """The running emulator and a client of it."""

    url: str
    app: Starlette
    client: httpx.AsyncClient

    async def submit(self, endpoint_id: str = VIDEO, *, webhook: str | None = None, **wishes: object) -> Job:
        """Submit a job with these wishes under `_emulator`."""
        body = {"prompt": "a cat", "_emulator": wishes}
        params = {} if webhook is None else {"fal_webhook": webhook}
        response = await self.client.post(f"/{endpoint_id}", params=params, json=body)
        assert response.status_code == 200, response.text
        return Job(response.json())

    async def completed(self, job: Job) -> httpx.Response:
        """The status stream to its end, then the result."""
        await self.statuses(job)
        return await self.client.get(job.url("response_url"))

    async def statuses(self, job: Job, query: str = "") -> list[dict[str, object]]:
        """Every status of the job's stream, until it closes."""
        response = await self.client.get(f"{job.url('status_url')}/stream{query}")
        assert response.status_code == 200, response.text
        frames = [frame for frame in response.text.split("\n\n") if frame.startswith("data: ")]
        return [msgspec.json.decode(frame[6:], type=dict[str, object]) for frame in frames]

    async def keys(self) -> list[VerifyKey]:
        """The published keys."""
        jwks = (await self.client.get("/.well-known/jwks.json", headers={"Authorization": ""})).json()
        return [decode_key(key["x"]) for key in jwks["keys"]]

    async def idle(self) -> None:
        """Wait until every job has ended and every webhook is settled."""
        async with asyncio.timeout(DEADLINE):
            await self.app.state.emulator.idle()


@asynccontextmanager
async def emulated(sleep: Sleep = asyncio.sleep) -> AsyncIterator[Emulated]:
    """A running emulator; `sleep` is the pause between webhooks."""
    app = create_emulator(speed=SPEED, sleep=sleep)
    async with (
        serving(Patient(app)) as url,
        httpx.AsyncClient(base_url=url, headers=KEY, timeout=DEADLINE, verify=PLAIN) as client,
    ):
        yield Emulated(url, app, client)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A running receiver, on this or a free port."""
    receiver = Receiver()
    receiver.gate.set()
    async with serving(receiver.app(), port) as url:
        receiver.url = f"{url}/hook"
        yield receiver

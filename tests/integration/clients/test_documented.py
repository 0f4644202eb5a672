"""The clients of docs/clients.md, taken from the page and run."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support.access import ADMIN, API_KEY, SECRET, token
from support.clients import DEADLINE, SCRIPTS, output, program
from support.fal import FalDouble
from support.readmes import code_blocks
from support.serving import Served, served
from support.tap import tapped

pytestmark = pytest.mark.anyio
PATH = "/api/fal-jobs/job-1/events"
JAVASCRIPT = (
    "### EventSource",
    "### eventsource (npm)",
    "### @microsoft/fetch-event-source",
    "### reconnecting-eventsource",
)
PYTHON = "## httpx-sse (Python)"
CLIENTS = (*JAVASCRIPT, PYTHON)


class Client(NamedTuple):
    """A running client; it prints each state that it passes on."""

    heading: str
    process: asyncio.subprocess.Process

    async def state(self) -> bytes:
        """Return the next state, empty when the client has ended."""
        async with asyncio.timeout(DEADLINE):
            return (await output(self.process).readline()).strip()

    async def rest(self) -> tuple[list[bytes], int | None]:
        """Return the further states and the exit status, once nothing is left that could send a request."""
        async with asyncio.timeout(DEADLINE):
            states = (await output(self.process).read()).splitlines()
            return states, await self.process.wait()


@asynccontextmanager
async def running(folder: Path, headings: Iterable[str], server: str, *tokens: str) -> AsyncIterator[list[Client]]:
    """Run the clients below these headings of the page."""
    (folder / "node_modules").symlink_to(SCRIPTS / "node_modules")
    async with AsyncExitStack() as stack:
        clients = []
        for number, heading in enumerate(headings):
            language, ending = ("python", "py") if heading == PYTHON else ("js", "mjs")
            (code,) = code_blocks("docs/clients.md", heading, language)
            file = folder / f"client{number}.{ending}"
            file.write_text(code)
            command = sys.executable if heading == PYTHON else "node"
            arguments = (f"documented.{ending}", str(file), server, "job-1", *tokens)
            clients.append(Client(heading, await stack.enter_async_context(program(command, *arguments))))
        yield clients


@pytest.fixture
async def server(tmp_path: Path, fal: FalDouble) -> AsyncIterator[Served]:
    """A running server with keys, that knows one job."""
    settings = {"HOOKCAST_API_KEYS": API_KEY, "HOOKCAST_TOKEN_SECRET": SECRET, "HOOKCAST_DRAIN_SECONDS": "1"}
    async with served(tmp_path, fal, **settings) as running:
        running.client.headers.update(ADMIN)
        await running.start()
        await running.register("job-1")
        yield running


async def test_after_the_end_no_client_sends_another_request(server: Served, tmp_path: Path) -> None:
    """Each opens one stream, shows both states, and has nothing left to do."""
    async with (
        tapped(server.url) as (url, tap),
        running(tmp_path, CLIENTS, url, token(jobs=["job-1"])) as clients,
    ):
        first = {client.heading: await client.state() for client in clients}
        await server.complete("job-1")
        rest = {client.heading: await client.rest() for client in clients}
        asked = [head for head in tap.requests if PATH in head]
    assert first == dict.fromkeys(CLIENTS, b'[1,"pending"]')
    assert rest == dict.fromkeys(CLIENTS, ([b'[2,"completed"]'], 0))
    assert len(asked) == len(CLIENTS)


async def test_after_a_restart_each_client_comes_back_for_the_outcome(server: Served, tmp_path: Path) -> None:
    """The server drains and is away for a while; nothing is shown twice."""
    async with running(tmp_path, CLIENTS, server.url, token(jobs=["job-1"])) as clients:
        for client in clients:
            await client.state()
        await server.stop()
        await server.start()
        await server.complete("job-1")
        rest = {client.heading: await client.rest() for client in clients}
    assert rest == dict.fromkeys(CLIENTS, ([b'[2,"completed"]'], 0))


async def test_a_client_whose_token_is_refused_gets_a_new_one(server: Served, tmp_path: Path) -> None:
    """All but the package that does not tell a refusal from a cut."""
    able = [heading for heading in CLIENTS if heading != "### reconnecting-eventsource"]
    await server.complete("job-1")
    async with running(tmp_path, able, server.url, "expired", token(jobs=["job-1"])) as clients:
        rest = {client.heading: await client.rest() for client in clients}
    assert rest == dict.fromkeys(able, ([b'[2,"completed"]'], 0))

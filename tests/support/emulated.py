"""The emulated fal as a real server in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hookcast.emulator import begin_shutdown, create_emulator
from hookcast.serving.server import Server, Site, bind
from support.server import serve


@asynccontextmanager
async def emulated_fal(speed: float) -> AsyncIterator[str]:
    """Run an emulated fal, `speed` times as fast as fal; gives its URL."""
    app = create_emulator(speed=speed)
    listener = bind("127.0.0.1", 0)
    ready = asyncio.Event()
    server = Server(Site(app, listener, lambda: begin_shutdown(app)), ready.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(server, listener))
        await ready.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True

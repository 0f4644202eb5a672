"""Open the services of a node. While its database is unavailable, the node answers without them and keeps trying."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from hookcast.errors import StoreRefused, StoreUnavailable
from hookcast.logs import get_logger
from hookcast.routes.services import Node, Services

PATIENCE_SECONDS = 6.0  # before the node answers without its services: longer than attempts take, unless they migrate
MIN_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 15.0
GROWTH = 1.7

_log = get_logger(__name__)
Open = Callable[[], AbstractAsyncContextManager[Services]]


class Opening:
    """Keeps a node's services open. `sleep` is injected for tests.

    `on_refusal` is called with the error of a database that must be changed first; None = it is raised.
    """

    def __init__(
        self,
        node: Node,
        open_services: Open,
        on_refusal: Callable[[StoreRefused], None] | None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._node = node
        self._open = open_services
        self._on_refusal = on_refusal
        self._sleep = sleep
        self._tried = asyncio.Event()
        self._closing = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the services, or begin to try: enter the block after the first attempt, or `PATIENCE_SECONDS`."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._run())
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._tried.wait()
            try:
                yield
            finally:
                self._closing.set()
                if not self._node.ready:
                    task.cancel()

    async def _run(self) -> None:
        for pause in _pauses():
            error = await self._attempt()
            if error is None:
                return
            self._node.trouble = error
            if isinstance(error, StoreRefused):
                self._refused(error)
                return
            _log.warning("waiting_for_database", trouble=error.trouble.value, reason=error.reason, retry_in=pause)
            self._tried.set()
            await self._sleep(pause)

    async def _attempt(self) -> StoreUnavailable | None:
        """Keep the services open until the end; return the error if the database cannot be used."""
        try:
            async with self._open() as services:
                self._node.begin(services)
                self._tried.set()
                await self._closing.wait()
        except StoreUnavailable as error:
            if self._node.ready:
                raise
            return error
        return None

    def _refused(self, error: StoreRefused) -> None:
        if self._on_refusal is None:
            raise error
        self._on_refusal(error)
        self._tried.set()


def _pauses() -> Iterator[float]:
    """Yield growing pauses in seconds, jittered: nodes that wait for the same database do not come back together."""
    pause = MIN_PAUSE_SECONDS
    while True:
        yield round(pause * random.uniform(0.7, 1.0), 2)  # noqa: S311
        pause = min(pause * GROWTH, MAX_PAUSE_SECONDS)

"""Owned tasks: those that a node needs end it when they fail; those that serve one job or connection fail alone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import ParamSpec

from hookcast.errors import FalUnreachable, Unavailable
from hookcast.logs import get_logger

_P = ParamSpec("_P")
Sleep = Callable[[float], Awaitable[None]]
_log = get_logger(__name__)


@asynccontextmanager
async def beside(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run coroutines concurrently with the block, and cancel them at its end.

    The block depends on them: when one fails, the block is cancelled and ExceptionGroup is raised. Errors of the
    block itself are raised as they are.
    """
    failure = None
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(work) for work in works]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below: a TaskGroup would wrap it in a group
            failure = error
        finally:
            for task in running:
                task.cancel()
    if failure is not None:
        raise failure


class Tasks:
    """Tasks of single jobs or connections: when one fails, the failure is logged and the others continue."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None

    @property
    def running(self) -> bool:
        """True inside the block of `owned`."""
        return self._group is not None

    @asynccontextmanager
    async def owned(self) -> AsyncIterator[None]:
        """Own the tasks: wait for them at the end of the block, or cancel them if the block fails or is cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None

    def start(
        self, subject: str, work: Callable[_P, Coroutine[None, None, None]], *args: _P.args, **kwargs: _P.kwargs
    ) -> asyncio.Task[None] | None:
        """Run `work` and return its task; None, without running it, if nothing owns the tasks.

        `subject` names the job or connection in the log.
        """
        if self._group is None:
            return None
        # It may outlive the request that starts it, and belongs to none: not in the log either.
        return self._group.create_task(_alone(subject, work, *args, **kwargs), context=Context())


async def _alone(
    subject: str, work: Callable[_P, Coroutine[None, None, None]], *args: _P.args, **kwargs: _P.kwargs
) -> None:
    try:
        await work(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a bug in one task must not end the others
        _log.error("task_crashed", task=work.__qualname__, subject=subject, exc_info=error)


async def repeat(
    look: Callable[[], Awaitable[object]],
    seconds: Callable[[], float],
    sleep: Sleep,
    *,
    failed: str,
    longest: float | None = None,
) -> None:
    """Await `look`, a periodic check, every `seconds()` until cancelled.

    While checks fail, the pauses double up to `longest` seconds (None = they stay). `failed` is the event to log: at
    the first failure in a row, the second, the fourth, and so on.
    """
    failures = 0
    while True:
        pause = seconds()
        await sleep(pause if longest is None else min(pause * 2 ** min(failures, 16), max(pause, longest)))
        try:
            await look()
            failures = 0
        except Exception as error:  # noqa: BLE001 - the next look may find another state
            failures += 1
            if failures & (failures - 1) == 0:
                _tell(failed, error, failures)


def _tell(event: str, error: Exception, failures: int) -> None:
    if isinstance(error, (FalUnreachable, Unavailable)):
        _log.warning(event, reason=str(error), failures=failures)
    else:
        _log.error(event, exc_info=error, failures=failures)

"""The jobs that have active subscribers, for the parts that follow watched jobs."""

import asyncio


class Interest:
    """Jobs that gained their first active subscriber, or lost their last one, since the last `changes`.

    Holds at most one entry per job, and none for a job joined and left in between, so it never outgrows the hub.
    """

    def __init__(self) -> None:
        self._changed: dict[str, bool] = {}
        self._wake = asyncio.Event()

    def tell(self, request_id: str, *, watched: bool) -> None:
        """Record that the job is watched from now on, or no longer."""
        if self._changed.pop(request_id, watched) is watched:
            self._changed[request_id] = watched
            self._wake.set()

    async def changes(self) -> dict[str, bool]:
        """Wait for changes, then return and clear them: requestId → whether the job is watched now."""
        await self._wake.wait()
        self._wake.clear()
        changed, self._changed = self._changed, {}
        return changed

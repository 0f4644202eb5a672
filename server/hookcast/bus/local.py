"""The bus of a single process."""

from hookcast.bus.base import Deliver
from hookcast.wire import State


class LocalBus:
    """Delivers on the spot, in the caller's turn of the event loop."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._subscribed: set[str] = set()

    async def subscribe(self, request_id: str) -> None:
        """States of this job are delivered from now on."""
        self._subscribed.add(request_id)

    async def unsubscribe(self, request_id: str) -> None:
        """They are no longer."""
        self._subscribed.discard(request_id)

    async def publish(self, state: State) -> None:
        """Deliver at once, to whoever subscribed."""
        if state.request_id in self._subscribed:
            self._deliver(state)

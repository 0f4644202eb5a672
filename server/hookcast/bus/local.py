"""The bus of a single process."""

from collections.abc import Iterable

from hookcast.bus.base import Deliver
from hookcast.wire import State


class LocalBus:
    """Delivers on the spot, in the caller's turn of the event loop. The receiver knows who watches what."""

    @property
    def live(self) -> bool:
        """There are no other nodes."""
        return True

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Everything is delivered anyway."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Everything is delivered anyway."""

    async def publish(self, state: State) -> None:
        """Deliver at once."""
        self._deliver(state)

"""The bus of a single process."""

from collections.abc import Iterable

from hookcast.bus.base import Condition, Deliver
from hookcast.wire import State


class LocalBus:
    """Delivers every state synchronously on the event loop; the receiver filters by topic."""

    @property
    def condition(self) -> Condition:
        """Always `ok`: there are no other nodes."""
        return "ok"

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Do nothing: every state is delivered anyway."""

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Do nothing: every state is delivered anyway."""

    async def publish(self, state: State) -> None:
        """Deliver the state immediately."""
        self._deliver(state)

"""How many streams each client has, whatever a client is counted by: its address, its token.

A holder is `kind:name`, such as `address:203.0.113.7`. A stream may have several; only those are kept that have one.
"""

from collections.abc import Mapping, Sequence

from hookcast.errors import TooManyStreamsOfClient

RETRY_SECONDS = 10
_HINTS = {
    "address": "Behind a proxy the server must know its address: HOOKCAST_FORWARDED_ALLOW_IPS.",
    "token": "Give each user a token of their own.",
}


class Holders:
    """`limits` says how many streams a holder of each kind may have; a kind that it does not name has no limit."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def check(self, names: Sequence[str]) -> None:
        """Raise TooManyStreamsOfClient when one of them may have no further stream."""
        for name in names:
            kind = name.partition(":")[0]
            limit = self._limits.get(kind)
            if limit is not None and self._counts.get(name, 0) >= limit:
                text = f"This {kind} has its {limit} streams. {_HINTS.get(kind, '')}"
                raise TooManyStreamsOfClient(text.strip(), retry_after=RETRY_SECONDS)

    def enter(self, names: Sequence[str]) -> None:
        """Count a stream of each of them."""
        for name in names:
            self._counts[name] = self._counts.get(name, 0) + 1

    def leave(self, names: Sequence[str]) -> None:
        """Count it no longer."""
        for name in names:
            left = self._counts[name] - 1
            if left:
                self._counts[name] = left
            else:
                del self._counts[name]

"""Count the open streams of each holder: a client's address or its token.

A holder is `kind:name`, such as `address:203.0.113.7`. A stream may have several. Holders without a stream are dropped.
"""

from collections.abc import Mapping, Sequence

from hookcast.errors import TooManyStreamsOfClient

RETRY_SECONDS = 10
_HINTS = {
    "address": "Behind a proxy, set HOOKCAST_FORWARDED_ALLOW_IPS to the proxy's address.",
    "token": "Give each user a token of their own.",
}


class Holders:
    """Stream counts by holder. `limits` maps a kind to its maximum; kinds not in it are unlimited."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def check(self, names: Sequence[str]) -> None:
        """Raise TooManyStreamsOfClient if one of the holders has reached its limit."""
        for name in names:
            kind = name.partition(":")[0]
            limit = self._limits.get(kind)
            if limit is not None and self._counts.get(name, 0) >= limit:
                text = f"This {kind} has reached its limit of {limit} streams. {_HINTS.get(kind, '')}"
                raise TooManyStreamsOfClient(text.strip(), retry_after=RETRY_SECONDS)

    def enter(self, names: Sequence[str]) -> None:
        """Add a stream to each holder's count."""
        for name in names:
            self._counts[name] = self._counts.get(name, 0) + 1

    def leave(self, names: Sequence[str]) -> None:
        """Subtract a stream from each holder's count."""
        for name in names:
            left = self._counts[name] - 1
            if left:
                self._counts[name] = left
            else:
                del self._counts[name]

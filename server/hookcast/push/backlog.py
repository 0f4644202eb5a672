"""A stream's unsent states, held as names and versions only."""

from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import NamedTuple

from hookcast.wire import State

UNSENT_JOBS = 1000


class Partial(NamedTuple):
    """The part of a frame that was sent; size and hash tell whether another frame is the same."""

    request_id: str
    version: int
    sent: int
    size: int
    hash: int


class Backlog:
    """The jobs whose state a reader has not received yet. False if there are none."""

    __slots__ = ("after", "feeding", "feeds", "first", "large", "newer", "partial", "pushed", "room", "sent")

    def __init__(
        self,
        versions: Mapping[str, int] | None = None,
        feeds: Iterable[str] = (),
        *,
        large: dict[str, int] | None = None,
        sent: Iterable[str] = (),
    ) -> None:
        self.newer: dict[str, int] = {}
        """Pushed since: requestId → version."""
        self.large = large or {}
        """Known to be large: requestId → bytes. Each of them is in `newer` or `first`."""
        self.first = {**dict.fromkeys(self.large, 0), **(versions or {})}
        """To be read: requestId → version that the store has at least, 0 = unknown."""
        self.pushed: dict[str, int] = {}
        """Of these, versions that were pushed meanwhile, where those of the store are unknown."""
        self.feeds = list(feeds)
        """Channels of groups and owners whose names are still to be read."""
        self.sent = set(sent)
        """Jobs sent since the stream opened. Kept only while there are `feeds`."""
        self.partial: Partial | None = None
        """A large state that was sent in part."""
        self.after = b""
        """What is to follow it."""
        self.room = UNSENT_JOBS
        self.feeding = False

    def __bool__(self) -> bool:
        return bool(self.newer or self.first or self.feeds or self.partial)

    def full(self, state: State) -> bool:
        """Return whether too many jobs wait for this one to be added."""
        return len(self.newer) >= self.room and state.request_id not in self.newer

    def add(self, state: State) -> None:
        """Note a state that was pushed."""
        name, version = state.request_id, state.version
        self.newer[name] = max(version, self.newer.get(name, 0))
        self._note_pushed(name, self.newer[name])

    def replaced_by(self, states: Iterable[State]) -> list[State]:
        """Return the states that are newer than those pushed of their jobs, and forget the pushed versions."""
        newer = [state for state in states if state.version > self.newer.get(state.request_id, 0)]
        for state in newer:
            self.newer.pop(state.request_id, None)
        return newer

    def extend(self, other: "Backlog", pushed: dict[str, int]) -> None:
        """Add the first states of another subscription; `pushed` are versions that the reader received meanwhile."""
        self.first |= other.first
        self.large |= other.large
        for name, version in {**pushed, **self.newer}.items():
            self._note_pushed(name, version)
        self.feeds += other.feeds
        self.sent |= other.sent | pushed.keys()

    def drop(self, names: Iterable[str], feeds: Iterable[str]) -> None:
        """Forget what the client no longer watches."""
        for name in names:
            self.first.pop(name, None)
            self.pushed.pop(name, None)
            if name not in self.newer:
                self.large.pop(name, None)
        self.feeds = [feed for feed in self.feeds if feed not in set(feeds)]

    def note_sent(self, request_id: str) -> None:
        """Note that the job was sent, so that the reading of its feed does not repeat it."""
        if self.feeds and len(self.sent) < UNSENT_JOBS:
            self.sent.add(request_id)

    def expand(self, feed: str, versions: Mapping[str, int]) -> None:
        """Replace a feed by the names of its jobs."""
        self.feeds.remove(feed)
        self.first.update((name, version) for name, version in versions.items() if name not in self.sent)
        for name, version in self.newer.items():
            self._note_pushed(name, version)
        if not self.feeds:
            self.sent = set()

    def next_names(self, count: int) -> list[str]:
        """Return the next jobs to read."""
        return list(islice(chain(self.newer, (name for name in self.first if name not in self.newer)), count))

    def forget(self, request_id: str) -> None:
        """Forget a job that no longer exists, or whose state is at hand."""
        for names in (self.newer, self.first, self.pushed, self.large):
            names.pop(request_id, None)

    def _note_pushed(self, name: str, version: int) -> None:
        """Note that a job's state was pushed: it need not be read if it is as new as what a read would find.

        Whatever the store gets later is pushed, too.
        """
        stored = self.first.get(name)
        if stored and version >= stored:
            del self.first[name]
            self.large.pop(name, None)
        elif stored == 0:
            self.pushed[name] = version

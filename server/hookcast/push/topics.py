"""The names that clients watch, and the topics of one node: a job, or a feed of many jobs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from hookcast.bus import ALL_TOPIC, group_topic, job_topic, owner_topic
from hookcast.wire import State


class Names(NamedTuple):
    """What a client watches: requestIds, groups, owners, or `everything`."""

    jobs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    everything: bool = False

    @property
    def feeds(self) -> list[str]:
        """The channels of the feeds."""
        return [
            *map(group_topic, self.groups),
            *map(owner_topic, self.owners),
            *([ALL_TOPIC] if self.everything else []),
        ]

    @property
    def size(self) -> int:
        """The number of names; everything is one."""
        return len(self.jobs) + len(self.groups) + len(self.owners) + self.everything

    def without(self, fewer: "Names") -> "Names":
        """Return the names that are not in `fewer`."""
        return Names(
            _without(self.jobs, fewer.jobs),
            _without(self.groups, fewer.groups),
            _without(self.owners, fewer.owners),
            self.everything and not fewer.everything,
        )


NO_NAMES = Names()


def _without(names: tuple[str, ...], fewer: tuple[str, ...]) -> tuple[str, ...]:
    gone = set(fewer)
    return tuple(name for name in names if name not in gone)


class Subscriber(Protocol):
    """Receives the states of its topics. Must neither block nor raise."""

    kind: str
    """The transport of its client, such as `sse`."""

    active: bool
    """True if it stands for a client: only then does a job count as watched."""

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """Receive a newer state; `ended` is True if it makes a job terminal that is watched by name."""

    def push_many(self, states: Sequence[State], now: float, *, ended: bool) -> None:
        """Receive several newer states at once, the older ones first."""

    @classmethod
    def push_to_all(cls, subscribers: Sequence[Any], state: State, now: float, *, ended: bool) -> None:
        """Do what `push` does, for each of these subscribers of this class."""


def push_to_all(subscribers: Sequence[Subscriber], state: State, now: float, *, ended: bool) -> None:
    """Push a state to subscribers of any classes."""
    kinds: set[type[Subscriber]] = set(map(type, subscribers))
    for kind in kinds:
        its = subscribers if len(kinds) == 1 else [one for one in subscribers if type(one) is kind]
        kind.push_to_all(its, state, now, ended=ended)


@dataclass(slots=True)
class Pushes:
    """The states for one subscriber, and whether one of them ends a job that it watches by name."""

    states: list[State] = field(default_factory=list)
    ended: bool = False


class JobTopic:
    """One job's subscribers, and the version that all of them have seen.

    Most jobs have one subscriber, so `subscribers` is a tuple up to one and a dict above: 170 bytes less per job.
    Iterating over thousands is faster in a dict than in a set, whose order is not that of their memory.
    """

    __slots__ = ("active", "ended", "request_id", "subscribers", "version")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.subscribers: tuple[Subscriber, ...] | dict[Subscriber, None] = ()
        self.active = 0
        self.version = 0
        self.ended = False

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber that is not in the topic."""
        if isinstance(self.subscribers, dict):
            self.subscribers[subscriber] = None
        else:
            self.subscribers = dict.fromkeys((*self.subscribers, subscriber)) if self.subscribers else (subscriber,)

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber that is in the topic."""
        if isinstance(self.subscribers, dict):
            del self.subscribers[subscriber]
        else:
            self.subscribers = ()


class Feed:
    """Subscribers to many jobs, the newest version of each of these, and which of them are still pending.

    A pending job counts as watched through its group or owner, but not through the feed of everything, which must not
    make the node follow all jobs. `begins_at` is set by `Hub.begin_feeds`.
    """

    __slots__ = ("begins_at", "channel", "kind", "name", "pending", "subscribers", "versions")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.kind, _, self.name = channel.partition(":")
        self.subscribers: dict[Subscriber, None] = {}
        self.versions: dict[str, int] = {}
        self.pending: set[str] = set()
        self.begins_at = math.inf


Topic = JobTopic | Feed


class Topics(NamedTuple):
    """The topics that a subscriber has joined."""

    jobs: tuple[JobTopic, ...] = ()
    feeds: tuple[Feed, ...] = ()

    @property
    def channels(self) -> list[str]:
        """The topics' channels on the bus."""
        return [*(job_topic(topic.request_id) for topic in self.jobs), *(feed.channel for feed in self.feeds)]


def names_of(jobs: Iterable[str], feeds: Iterable[Feed]) -> Names:
    """Return the names of these jobs and feeds."""
    by_kind: dict[str, list[str]] = {"group": [], "owner": [], ALL_TOPIC: []}
    for feed in feeds:
        by_kind[feed.kind].append(feed.name)
    return Names(tuple(jobs), tuple(by_kind["group"]), tuple(by_kind["owner"]), bool(by_kind[ALL_TOPIC]))

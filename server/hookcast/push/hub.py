"""Who watches what on this node: topics, their subscribers, and which states are news to them.

All subscribers of a topic have seen the same version of a job, because whoever joins brings what the store says and
everybody gets it that had less. So what is news is decided once a topic, not once a stream, and a stream that watches
one job costs the hub two references.

Everything here is synchronous and runs on the event loop; `push.engine` adds the bus and the store.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from hookcast.bus import group_topic, job_topic
from hookcast.wire import State

KEPT_VERSIONS = 2000  # of a group's jobs; of one forgotten, an old state might be sent again: clients ignore that


class Names(NamedTuple):
    """What a client wants to watch: requestIds and groups."""

    jobs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def topics(self) -> list[str]:
        """The names of their topics."""
        return [*map(job_topic, self.jobs), *map(group_topic, self.groups)]

    def without(self, fewer: "Names") -> "Names":
        """Those that the other ones are not."""
        jobs, groups = set(fewer.jobs), set(fewer.groups)
        return Names(
            tuple(name for name in self.jobs if name not in jobs),
            tuple(name for name in self.groups if name not in groups),
        )


def names_of(topics: Iterable[str]) -> Names:
    """The jobs and groups of these topics."""
    split = [name.partition(":") for name in topics]
    jobs = tuple(name for kind, _, name in split if kind == "job")
    return Names(jobs, tuple(name for kind, _, name in split if kind == "group"))


class Subscriber(Protocol):
    """Gets the states of its topics. None of this may block or raise."""

    active: bool
    """Whether it stands for a client: only then is somebody watching."""

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """A newer state; `ended` = with it one of the jobs watched by name has become terminal."""


class Audience(Protocol):
    """Whoever wants to know when a job gets its first active watcher, and when it has lost the last one.

    Called on the event loop; must neither block nor raise.
    """

    def watched(self, request_id: str) -> None:
        """Somebody watches the job now, by its name or by its group."""

    def unwatched(self, request_id: str) -> None:
        """Nobody watches it any more."""


class JobTopic:
    """One job's watchers, and the version that all of them have seen.

    Most jobs have one watcher, so `subscribers` is a tuple up to that, and a set from then on: 170 bytes less each.
    """

    __slots__ = ("active", "ended", "name", "subscribers", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscribers: tuple[Subscriber, ...] | set[Subscriber] = ()
        self.active = 0
        self.version = 0
        self.ended = False

    def add(self, subscriber: Subscriber) -> None:
        """Take a new one in."""
        if isinstance(self.subscribers, set):
            self.subscribers.add(subscriber)
        else:
            self.subscribers = {*self.subscribers, subscriber} if self.subscribers else (subscriber,)

    def remove(self, subscriber: Subscriber) -> None:
        """Let one go that is there."""
        if isinstance(self.subscribers, set):
            self.subscribers.remove(subscriber)
        else:
            self.subscribers = ()


class GroupTopic:
    """One group's watchers, the newest version of each of its jobs, and which of these are still pending."""

    __slots__ = ("name", "pending", "subscribers", "versions")

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscribers: set[Subscriber] = set()
        self.versions: dict[str, int] = {}
        self.pending: set[str] = set()

    def add(self, subscriber: Subscriber) -> None:
        """Take a new one in."""
        self.subscribers.add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Let one go that is there."""
        self.subscribers.remove(subscriber)

    def news(self, state: State) -> bool:
        """Whether the state is newer than what was sent; then it is what was sent."""
        if state.version <= self.versions.get(state.request_id, 0):
            return False
        self.versions.pop(state.request_id, None)
        self.versions[state.request_id] = state.version
        if len(self.versions) > KEPT_VERSIONS:
            del self.versions[next(iter(self.versions))]
        return True


Topic = JobTopic | GroupTopic
_T = TypeVar("_T", JobTopic, GroupTopic)


class Hub:
    """The topics of one node. `clock` is the event loop's, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.audience: Audience | None = None
        self.pushed = 0  # states given to subscribers, since the start
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._by_group: dict[str, int] = {}  # the groups through which a pending job is watched

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[str]:
        """The names of the topics that have subscribers."""
        return iter(self._topics)

    def join(self, subscriber: Subscriber, names: Names) -> list[Topic]:
        """Subscribe from now on. A name that was joined before is answered again and changes nothing."""
        jobs = [self._topic(job_topic(request_id), JobTopic) for request_id in names.jobs]
        groups = [self._topic(group_topic(group), GroupTopic) for group in names.groups]
        joined: list[Topic] = [*jobs, *groups]
        for topic in joined:
            if subscriber not in topic.subscribers:
                topic.add(subscriber)
                self._count(topic, subscriber, 1)
        return joined

    def leave(self, subscriber: Subscriber, topics: Iterable[Topic]) -> list[str]:
        """Unsubscribe. Answers the names of the topics that have no subscriber left; nothing of them stays here."""
        empty = []
        for topic in topics:
            if subscriber not in topic.subscribers:
                continue
            topic.remove(subscriber)
            self._count(topic, subscriber, -1)
            if not topic.subscribers:
                del self._topics[topic.name]
                empty.append(topic.name)
                if isinstance(topic, GroupTopic):
                    for request_id in topic.pending:
                        self._unwatch(request_id)
        return empty

    def lacks(self, request_id: str, version: int, group: str | None) -> bool:
        """Whether somebody here watches the job, or its group, and has not got this version."""
        topic = self._topics.get(job_topic(request_id))
        if isinstance(topic, JobTopic) and topic.version < version:
            return True
        found = self._topics.get(group_topic(group)) if group is not None else None
        return isinstance(found, GroupTopic) and found.versions.get(request_id, 0) < version

    def deliver(self, state: State, *, skip: Subscriber | None = None) -> bool:
        """Push a state to everybody to whom it is news, but not to `skip`. False = a newer one was pushed before.

        What is old for one topic is old for both: whoever has just joined the other one may have got the newer state
        here, or will read it from the store.
        """
        topic = self._topics.get(job_topic(state.request_id))
        group = self._topics.get(group_topic(state.group)) if state.group is not None else None
        told: set[Subscriber] = set() if skip is None else {skip}
        if isinstance(group, GroupTopic) and state.version < group.versions.get(state.request_id, 0):
            return False
        if isinstance(topic, JobTopic):
            if state.version < topic.version:
                return False
            self._to_job(topic, state, skip)
            told = told.union(topic.subscribers) if group is not None else told
        if isinstance(group, GroupTopic):
            self._to_group(group, state, told)
        return True

    def _to_job(self, topic: JobTopic, state: State, skip: Subscriber | None) -> None:
        if state.version <= topic.version:
            return
        topic.version = state.version
        ended = state.terminal and not topic.ended
        topic.ended = state.terminal
        now = self._clock()
        self.pushed += len(topic.subscribers) - (skip in topic.subscribers)
        for subscriber in tuple(topic.subscribers):  # one that ends leaves the set
            if subscriber is not skip:
                subscriber.push(state, now, ended=ended)

    def _to_group(self, topic: GroupTopic, state: State, told: set[Subscriber]) -> None:
        if not topic.news(state):
            return
        if not state.terminal and state.request_id not in topic.pending:
            topic.pending.add(state.request_id)
            self._watch(state.request_id)
        elif state.terminal and state.request_id in topic.pending:
            topic.pending.discard(state.request_id)
            self._unwatch(state.request_id)
        now = self._clock()
        untold = topic.subscribers.difference(told)
        self.pushed += len(untold)
        for subscriber in untold:
            subscriber.push(state, now, ended=False)

    def _count(self, topic: Topic, subscriber: Subscriber, step: int) -> None:
        """Tell the audience of a job's first active watcher, and of its last one."""
        if isinstance(topic, JobTopic) and subscriber.active:
            before, topic.active = topic.active, topic.active + step
            request_id = topic.name[len("job:") :]
            if (before == 0 or topic.active == 0) and request_id not in self._by_group:
                self._tell(request_id, watched=before == 0)

    def _watch(self, request_id: str) -> None:
        count = self._by_group[request_id] = self._by_group.get(request_id, 0) + 1
        if count == 1 and not self._by_name(request_id):
            self._tell(request_id, watched=True)

    def _unwatch(self, request_id: str) -> None:
        left = self._by_group.pop(request_id) - 1
        if left:
            self._by_group[request_id] = left
        elif not self._by_name(request_id):
            self._tell(request_id, watched=False)

    def _by_name(self, request_id: str) -> bool:
        topic = self._topics.get(job_topic(request_id))
        return isinstance(topic, JobTopic) and topic.active > 0

    def _tell(self, request_id: str, *, watched: bool) -> None:
        if self.audience is not None:
            (self.audience.watched if watched else self.audience.unwatched)(request_id)

    def _topic(self, name: str, kind: Callable[[str], _T]) -> _T:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = kind(name)
        return topic  # type: ignore[return-value]

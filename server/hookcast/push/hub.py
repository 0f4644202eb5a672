"""The topics of one node, their subscribers, and the versions that these have seen.

All subscribers of a topic have seen the same version of a job: a join reads the store, and its state is delivered to
every subscriber with an older version. So whether a state is new is decided once per topic, not per stream, and a
stream that watches one job costs the hub two references.

Everything here is synchronous and runs on the event loop; `push.subscriptions` adds the bus and the store.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from hookcast.bus import group_topic, job_topic
from hookcast.push.interest import Interest
from hookcast.wire import State

KEPT_VERSIONS = 2000  # per group; an old state of an evicted job may be sent again, which clients ignore


class Names(NamedTuple):
    """The requestIds and groups that a client watches."""

    jobs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def without(self, fewer: "Names") -> "Names":
        """Return the names that are not in `fewer`."""
        jobs, groups = set(fewer.jobs), set(fewer.groups)
        return Names(
            tuple(name for name in self.jobs if name not in jobs),
            tuple(name for name in self.groups if name not in groups),
        )


class Subscriber(Protocol):
    """Receives the states of its topics. Must neither block nor raise."""

    kind: str
    """The transport of its client, such as `sse`."""

    active: bool
    """True if it stands for a client: only then does a job count as watched."""

    def push(self, state: State, now: float, *, ended: bool) -> None:
        """Receive a newer state; `ended` is True if it makes a job terminal that is watched by name."""


class JobTopic:
    """One job's subscribers, and the version that all of them have seen.

    Most jobs have one subscriber, so `subscribers` is a tuple up to one and a set above: 170 bytes less per job.
    """

    __slots__ = ("active", "ended", "request_id", "subscribers", "version")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.subscribers: tuple[Subscriber, ...] | set[Subscriber] = ()
        self.active = 0
        self.version = 0
        self.ended = False

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber that is not in the topic."""
        if isinstance(self.subscribers, set):
            self.subscribers.add(subscriber)
        else:
            self.subscribers = {*self.subscribers, subscriber} if self.subscribers else (subscriber,)

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber that is in the topic."""
        if isinstance(self.subscribers, set):
            self.subscribers.remove(subscriber)
        else:
            self.subscribers = ()


class GroupTopic:
    """One group's subscribers, the newest version of each of its jobs, and which of these are still pending."""

    __slots__ = ("group", "pending", "subscribers", "versions")

    def __init__(self, group: str) -> None:
        self.group = group
        self.subscribers: set[Subscriber] = set()
        self.versions: dict[str, int] = {}
        self.pending: set[str] = set()


class Topics(NamedTuple):
    """The topics that a subscriber has joined."""

    jobs: tuple[JobTopic, ...] = ()
    groups: tuple[GroupTopic, ...] = ()

    @property
    def channels(self) -> list[str]:
        """The topics' channels on the bus."""
        return [
            *(job_topic(topic.request_id) for topic in self.jobs),
            *(group_topic(topic.group) for topic in self.groups),
        ]


class Hub:
    """The topics of one node. `clock` is the event loop's, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.interest = Interest()
        self.pushed = 0  # states pushed to subscribers since the start
        self.on_end: Callable[[State, int], object] | None = None  # of each pushed end: to how many subscribers
        self._clock = clock
        self._jobs: dict[str, JobTopic] = {}
        self._groups: dict[str, GroupTopic] = {}
        self._by_group: dict[str, int] = {}  # pending job → number of groups it is watched through
        self._grouped: dict[str, int] = {}  # job → number of groups that were sent a state of it

    def __len__(self) -> int:
        return len(self._jobs) + len(self._groups)

    def __iter__(self) -> Iterator[str]:
        """Yield the bus channels of all topics that have subscribers."""
        yield from map(job_topic, self._jobs)
        yield from map(group_topic, self._groups)

    def join(self, subscriber: Subscriber, names: Names) -> Topics:
        """Subscribe from now on and return the topics. Joining a name again changes nothing."""
        return Topics(
            tuple(self._join_job(subscriber, request_id) for request_id in names.jobs),
            tuple(self._join_group(subscriber, group) for group in names.groups),
        )

    def leave(self, subscriber: Subscriber, topics: Topics) -> Topics:
        """Unsubscribe. Return the topics that have no subscriber left; the hub has released them."""
        jobs = tuple(topic for topic in topics.jobs if self._leave_job(subscriber, topic))
        groups = tuple(topic for topic in topics.groups if self._leave_group(subscriber, topic))
        return Topics(jobs, groups)

    def awaits(self, request_id: str) -> bool:
        """Return whether somebody watches the job by name whose first state has not been read yet."""
        topic = self._jobs.get(request_id)
        return topic is not None and topic.active > 0 and topic.version == 0

    def lacks(self, request_id: str, version: int, group: str | None) -> bool:
        """Return whether a subscriber of the job, or of its group, has not seen this version."""
        by_name = self._jobs.get(request_id)
        if by_name is not None and by_name.version < version:
            return True
        by_group = None if group is None else self._groups.get(group)
        return by_group is not None and by_group.versions.get(request_id, 0) < version

    def deliver(self, state: State, *, skip: Subscriber | None = None) -> bool:
        """Push a state to every subscriber but `skip` that has an older one. Return False if it is outdated."""
        before = self.pushed
        current = self._deliver(state, skip)
        if state.terminal and self.pushed > before and self.on_end is not None:
            self.on_end(state, self.pushed - before)
        return current

    def _deliver(self, state: State, skip: Subscriber | None) -> bool:
        """Push a state to the subscribers of its topics.

        What is outdated for one topic is so for both: a subscriber that has just joined the other topic got the newer
        state here, or will read it from the store.
        """
        topic = self._jobs.get(state.request_id)
        group = None if state.group is None else self._groups.get(state.group)
        told: set[Subscriber] = set() if skip is None else {skip}
        if state.group is None and state.request_id in self._grouped:
            return False  # a job never leaves its group, so this state is older
        if group is not None and state.version < group.versions.get(state.request_id, 0):
            return False
        if topic is not None:
            if state.version < topic.version:
                return False
            self._to_job(topic, state, skip)
            told = told.union(topic.subscribers) if group is not None else told
        if group is not None:
            self._to_group(group, state, told)
        return True

    def _join_job(self, subscriber: Subscriber, request_id: str) -> JobTopic:
        topic = self._jobs.get(request_id)
        if topic is None:
            topic = self._jobs[request_id] = JobTopic(request_id)
        if subscriber not in topic.subscribers:
            topic.add(subscriber)
            self._count(topic, subscriber, 1)
        return topic

    def _join_group(self, subscriber: Subscriber, group: str) -> GroupTopic:
        topic = self._groups.get(group)
        if topic is None:
            topic = self._groups[group] = GroupTopic(group)
        topic.subscribers.add(subscriber)
        return topic

    def _leave_job(self, subscriber: Subscriber, topic: JobTopic) -> bool:
        """Unsubscribe from a job. Return whether the topic was released."""
        if subscriber not in topic.subscribers:
            return False
        topic.remove(subscriber)
        self._count(topic, subscriber, -1)
        if topic.subscribers:
            return False
        del self._jobs[topic.request_id]
        return True

    def _leave_group(self, subscriber: Subscriber, topic: GroupTopic) -> bool:
        """Unsubscribe from a group. Return whether the topic was released."""
        if subscriber not in topic.subscribers:
            return False
        topic.subscribers.remove(subscriber)
        if topic.subscribers:
            return False
        del self._groups[topic.group]
        for request_id in topic.versions:
            self._forget(request_id)
        for request_id in topic.pending:
            self._unwatch(request_id)
        return True

    def _to_job(self, topic: JobTopic, state: State, skip: Subscriber | None) -> None:
        if state.version <= topic.version:
            return
        topic.version = state.version
        ended = state.terminal and not topic.ended
        topic.ended = state.terminal
        now = self._clock()
        self.pushed += topic.active - (skip in topic.subscribers)
        for subscriber in tuple(topic.subscribers):  # a copy: a stream that ends leaves the set
            if subscriber is not skip:
                subscriber.push(state, now, ended=ended)

    def _to_group(self, topic: GroupTopic, state: State, told: set[Subscriber]) -> None:
        if not self._news(topic, state):
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

    def _news(self, topic: GroupTopic, state: State) -> bool:
        """Record the state's version. Return whether it is newer than the last one pushed."""
        request_id, known = state.request_id, topic.versions.pop(state.request_id, 0)
        topic.versions[request_id] = max(known, state.version)
        if not known:
            self._grouped[request_id] = self._grouped.get(request_id, 0) + 1
        if len(topic.versions) > KEPT_VERSIONS:
            oldest = next(iter(topic.versions))
            del topic.versions[oldest]
            self._forget(oldest)
        return state.version > known

    def _forget(self, request_id: str) -> None:
        left = self._grouped.pop(request_id) - 1
        if left:
            self._grouped[request_id] = left

    def _count(self, topic: JobTopic, subscriber: Subscriber, step: int) -> None:
        """Count an active subscriber in or out, and record a job's first and last one in `interest`."""
        if subscriber.active:
            before, topic.active = topic.active, topic.active + step
            if (before == 0 or topic.active == 0) and topic.request_id not in self._by_group:
                self.interest.tell(topic.request_id, watched=before == 0)

    def _watch(self, request_id: str) -> None:
        count = self._by_group[request_id] = self._by_group.get(request_id, 0) + 1
        if count == 1 and not self._by_name(request_id):
            self.interest.tell(request_id, watched=True)

    def _unwatch(self, request_id: str) -> None:
        left = self._by_group.pop(request_id) - 1
        if left:
            self._by_group[request_id] = left
        elif not self._by_name(request_id):
            self.interest.tell(request_id, watched=False)

    def _by_name(self, request_id: str) -> bool:
        topic = self._jobs.get(request_id)
        return topic is not None and topic.active > 0

"""The topics of one node, their subscribers, and the versions that these have seen.

All subscribers of a topic have seen the same version of a job: a join reads the store, and its state is delivered to
every subscriber with an older version. So whether a state is new is decided once per topic, not per stream, and a
stream that watches one job costs the hub two references. A *feed* is a topic of many jobs: those of a group, those of
an owner, or all.

Everything here is synchronous and runs on the event loop; `push.subscriptions` adds the bus and the store.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from hookcast.bus import ALL_TOPIC, feed_topics, job_topic
from hookcast.push.interest import Interest
from hookcast.push.topics import Feed, JobTopic, Names, Pushes, Subscriber, Topic, Topics, push_to_all
from hookcast.store import Written
from hookcast.wire import State

# Per feed: enough for what changes while `upkeep.resync` looks back. An old state of an evicted job may be sent again,
# which clients ignore.
KEPT_VERSIONS = 20_000
FORGOTTEN_AT_ONCE = 1000


class Hub:
    """The topics of one node. `clock` is the event loop's, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.interest = Interest()
        self.pushed = 0  # states pushed to clients since the start
        self.on_end: Callable[[State, int], object] | None = None  # of each pushed end: to how many subscribers
        self._clock = clock
        self._heard: list[State] = []  # in this turn of the event loop
        self._pushes: dict[Subscriber, Pushes] | None = None  # while several states are delivered at once
        self._jobs: dict[str, JobTopic] = {}
        self._feeds: dict[str, Feed] = {}  # by channel
        self._new: list[Feed] = []  # since `begin_feeds`
        self._by_feed: dict[str, int] = {}  # pending job → number of feeds it is watched through
        # job → number of feeds that were sent a state of it, which has a group or an owner
        self._grouped: dict[str, int] = {}
        self._owned: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._jobs) + len(self._feeds)

    def __iter__(self) -> Iterator[str]:
        """Yield the bus channels of all topics that have subscribers."""
        yield from map(job_topic, self._jobs)
        yield from self._feeds

    def join(self, subscriber: Subscriber, names: Names) -> Topics:
        """Subscribe from now on and return the topics. Joining a name again changes nothing."""
        jobs = tuple([self._join_job(subscriber, request_id) for request_id in names.jobs])
        if names.size == len(jobs):
            return Topics(jobs)
        return Topics(jobs, tuple(self._join_feed(subscriber, channel) for channel in names.feeds))

    def leave(self, subscriber: Subscriber, topics: Topics) -> Topics:
        """Unsubscribe. Return the topics that have no subscriber left; the hub has released them."""
        jobs = tuple(topic for topic in topics.jobs if self._leave_job(subscriber, topic))
        feeds = tuple(feed for feed in topics.feeds if self._leave_feed(subscriber, feed))
        return Topics(jobs, feeds)

    def awaits(self, request_id: str) -> bool:
        """Return whether somebody watches the job by name whose first state has not been read yet."""
        topic = self._jobs.get(request_id)
        return topic is not None and topic.active > 0 and topic.version == 0

    def begin_feeds(self, moment: float) -> None:
        """Let the feeds that are new begin at `moment` (unix seconds by the database's clock), before they were joined.

        They lack nothing that was written earlier: their subscribers read it as first states, or do without.
        """
        new, self._new = self._new, []
        for feed in new:
            feed.begins_at = moment

    def lacks(self, written: Written) -> bool:
        """Return whether a subscriber of the job, or of one of its feeds, has not seen this version."""
        by_name = self._jobs.get(written.request_id)
        if by_name is not None and by_name.version < written.version:
            return True
        for feed in self._feeds_of(written.owner, written.group):
            known = feed.versions.get(written.request_id, 0)
            if known < written.version and (known or feed.begins_at < written.changed_at):
                return True
        return False

    def hear(self, state: State) -> None:
        """Deliver a state with the others of this turn of the event loop: a subscriber of several gets them at once.

        A lone one is delivered as soon as what is ready now has run.
        """
        self._heard.append(state)
        if len(self._heard) == 1:
            asyncio.get_running_loop().call_soon(self._deliver_heard)

    def _deliver_heard(self) -> None:
        heard, self._heard = self._heard, []
        if len(heard) == 1:
            self.deliver(heard[0])
            return
        pushes = self._pushes = {}
        try:
            for state in heard:
                self.deliver(state)
        finally:
            self._pushes = None
        now = self._clock()
        for subscriber, its in pushes.items():
            if len(its.states) == 1:
                subscriber.push(its.states[0], now, ended=its.ended)
            else:
                subscriber.push_many(its.states, now, ended=its.ended)

    def deliver(self, state: State, *, skip: Subscriber | None = None) -> bool:
        """Push a state to every subscriber but `skip` that has an older one. Return False if it is outdated."""
        before = self.pushed
        current = self._deliver(state, skip)
        if state.terminal and self.pushed > before and self.on_end is not None:
            self.on_end(state, self.pushed - before)
        return current

    def _deliver(self, state: State, skip: Subscriber | None) -> bool:
        """Push a state to the subscribers of its topics.

        What is outdated for one topic is so for all: a subscriber that has just joined another topic got the newer
        state here, or will read it from the store.
        """
        topic = self._jobs.get(state.request_id)
        if topic is not None and state.version < topic.version:
            return False
        if self._feeds:
            return self._deliver_to_feeds(state, topic, skip)
        if topic is not None:
            self._to_job(topic, state, skip, ())
        return True

    def _deliver_to_feeds(self, state: State, topic: JobTopic | None, skip: Subscriber | None) -> bool:
        """Push a state to the feeds and to the job's topic, once to a subscriber of several."""
        request_id, version = state.request_id, state.version
        # A job never leaves its group or owner, so this state is older.
        if (state.group is None and request_id in self._grouped) or (state.owner is None and request_id in self._owned):
            return False
        told: list[Topic] = []
        untold: list[Feed] = []
        for feed in self._feeds_of(state.owner, state.group):
            known = feed.versions.get(request_id, 0)
            if version < known:
                return False
            (told if version == known else untold).append(feed)
        if topic is not None:
            self._to_job(topic, state, skip, tuple(told))
            told.append(topic)
        for feed in untold:
            self._to_feed(feed, state, skip, told)
            told.append(feed)
        return True

    def _feeds_of(self, owner: str | None, group: str | None) -> list[Feed]:
        """Return the feeds with subscribers of a job with this owner and group."""
        if not self._feeds:
            return []
        return [feed for channel in feed_topics(owner, group) if (feed := self._feeds.get(channel)) is not None]

    def _join_job(self, subscriber: Subscriber, request_id: str) -> JobTopic:
        topic = self._jobs.get(request_id)
        if topic is None:
            topic = self._jobs[request_id] = JobTopic(request_id)
        if subscriber not in topic.subscribers:
            topic.add(subscriber)
            self._count(topic, subscriber, 1)
        return topic

    def _join_feed(self, subscriber: Subscriber, channel: str) -> Feed:
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel)
            self._new.append(feed)
        feed.subscribers[subscriber] = None
        return feed

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

    def _leave_feed(self, subscriber: Subscriber, feed: Feed) -> bool:
        """Unsubscribe from a feed. Return whether it was released."""
        if subscriber not in feed.subscribers:
            return False
        del feed.subscribers[subscriber]
        if feed.subscribers:
            return False
        del self._feeds[feed.channel]
        for request_id in tuple(feed.versions):
            self._forget(feed, request_id)
        return True

    def _to_job(self, topic: JobTopic, state: State, skip: Subscriber | None, told: Sequence[Topic]) -> None:
        if state.version <= topic.version:
            return
        topic.version = state.version
        ended = state.terminal and not topic.ended
        topic.ended = state.terminal
        self.pushed -= len(topic.subscribers) - topic.active  # the server's own
        self._push(topic, state, skip, told, ended=ended)

    def _to_feed(self, feed: Feed, state: State, skip: Subscriber | None, told: Sequence[Topic]) -> None:
        request_id = state.request_id
        self._note(feed, state)
        if feed.kind != ALL_TOPIC:
            if not state.terminal and request_id not in feed.pending:
                feed.pending.add(request_id)
                self._watch(request_id)
            elif state.terminal:
                self._end(feed, request_id)
        self._push(feed, state, skip, told, ended=False)

    def _push(self, topic: Topic, state: State, skip: Subscriber | None, told: Sequence[Topic], *, ended: bool) -> None:
        """Push to the topic's subscribers but `skip` and those of the topics in `told`."""
        # A copy: a stream that ends leaves the topic.
        found = [subscriber for subscriber in topic.subscribers if subscriber is not skip]
        if told:
            found = [one for one in found if not any(one in other.subscribers for other in told)]
        self.pushed += len(found)
        if self._pushes is not None:
            for subscriber in found:
                pushes = self._pushes.setdefault(subscriber, Pushes())
                pushes.states.append(state)
                pushes.ended |= ended
            return
        push_to_all(found, state, self._clock(), ended=ended)

    def _note(self, feed: Feed, state: State) -> None:
        """Record the state's version, as the newest of all."""
        request_id = state.request_id
        if feed.versions.pop(request_id, None) is None:
            counts = self._placed(feed)
            if counts is not None:
                counts[request_id] = counts.get(request_id, 0) + 1
        feed.versions[request_id] = state.version
        if len(feed.versions) > KEPT_VERSIONS:  # many at once: a dict finds its first key by walking over removed ones
            for oldest in [*islice(feed.versions, FORGOTTEN_AT_ONCE)]:
                self._forget(feed, oldest)

    def _forget(self, feed: Feed, request_id: str) -> None:
        """Forget a job of a feed."""
        del feed.versions[request_id]
        counts = self._placed(feed)
        if counts is not None:
            _subtract(counts, request_id)
        self._end(feed, request_id)

    def _placed(self, feed: Feed) -> dict[str, int] | None:
        return {"group": self._grouped, "owner": self._owned}.get(feed.kind)

    def _end(self, feed: Feed, request_id: str) -> None:
        """Note that the job is no longer watched through this feed."""
        if request_id in feed.pending:
            feed.pending.discard(request_id)
            self._unwatch(request_id)

    def _count(self, topic: JobTopic, subscriber: Subscriber, step: int) -> None:
        """Count an active subscriber in or out, and record a job's first and last one in `interest`."""
        if subscriber.active:
            before, topic.active = topic.active, topic.active + step
            if (before == 0 or topic.active == 0) and topic.request_id not in self._by_feed:
                self.interest.tell(topic.request_id, watched=before == 0)

    def _watch(self, request_id: str) -> None:
        count = self._by_feed[request_id] = self._by_feed.get(request_id, 0) + 1
        if count == 1 and not self._by_name(request_id):
            self.interest.tell(request_id, watched=True)

    def _unwatch(self, request_id: str) -> None:
        if not _subtract(self._by_feed, request_id) and not self._by_name(request_id):
            self.interest.tell(request_id, watched=False)

    def _by_name(self, request_id: str) -> bool:
        topic = self._jobs.get(request_id)
        return topic is not None and topic.active > 0


def _subtract(counts: dict[str, int], request_id: str) -> int:
    """Subtract one, and return what is left."""
    left = counts.pop(request_id) - 1
    if left:
        counts[request_id] = left
    return left

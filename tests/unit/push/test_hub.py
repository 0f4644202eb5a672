"""Who gets which state."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hookcast.bus import Condition
from hookcast.jobs import Job, JobStatus
from hookcast.push import Hub, Names
from hookcast.push.hub import Topics
from hookcast.push.interest import Interest
from hookcast.wire import encode
from support.push import MemoryStore, Time, Watcher, job, make_engine, state

JOB, GROUP = Names(jobs=("job-1",)), Names(groups=("g",))


class Recorded(Interest):
    """Remembers who is watched, and that nothing is told twice."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []

    def tell(self, request_id: str, *, watched: bool) -> None:
        """Add it or take it away."""
        if watched:
            assert request_id not in self.jobs
            self.jobs.append(request_id)
        else:
            self.jobs.remove(request_id)


@pytest.fixture
def hub() -> Hub:
    """A hub whose interest is recorded."""
    made = Hub(Time())
    made.interest = Recorded()
    return made


def watched(hub: Hub) -> list[str]:
    """The jobs that somebody watches."""
    assert isinstance(hub.interest, Recorded)
    return sorted(hub.interest.jobs)


def known(hub: Hub, channels: set[str]) -> Topics:
    """The topics of these channels that have subscribers."""
    return Topics(
        tuple(topic for name, topic in hub._jobs.items() if f"job:{name}" in channels),
        tuple(topic for name, topic in hub._groups.items() if f"group:{name}" in channels),
    )


def test_only_news_is_pushed(hub: Hub) -> None:
    """Each version once, and none that is older than what was sent."""
    watcher = Watcher()
    hub.join(watcher, JOB)
    for version in (1, 3, 3, 2, 4):
        hub.deliver(state(version=version))
    assert watcher.got == [("job-1", 1), ("job-1", 3), ("job-1", 4)]


def test_the_end_of_a_job_is_told_once(hub: Hub) -> None:
    """A registration after the end is news, but no second end."""
    watcher = Watcher()
    hub.join(watcher, JOB)
    for version in (1, 2, 3):
        hub.deliver(state(version=version, ended=version > 1))
    assert (len(watcher.got), watcher.endings) == (3, 1)


def test_a_job_watched_by_name_and_by_group_is_pushed_once(hub: Hub) -> None:
    """To the one who watches both, and to those who watch one of them."""
    both, by_name, by_group = Watcher(), Watcher(), Watcher()
    hub.join(both, Names(jobs=("job-1",), groups=("g",)))
    hub.join(by_name, JOB)
    hub.join(by_group, GROUP)
    hub.deliver(state(version=1, group="g"))
    hub.deliver(state(version=2, group="g", ended=True))
    assert [watcher.got for watcher in (both, by_name, by_group)] == [[("job-1", 1), ("job-1", 2)]] * 3
    assert [watcher.endings for watcher in (both, by_name, by_group)] == [1, 1, 0]


def test_a_group_learns_of_a_job_that_is_registered_later(hub: Hub) -> None:
    """From its registration on the group's watchers get it, also when it has ended already."""
    watcher = Watcher()
    hub.join(watcher, GROUP)
    hub.deliver(state(version=1, ended=True))
    hub.deliver(state(version=2, ended=True, group="g"))
    assert watcher.got == [("job-1", 2)]
    assert watched(hub) == []


def test_who_joins_brings_the_others_up_to_date(hub: Hub) -> None:
    """What the store says goes to those who had less, and is refused when a newer one was pushed."""
    early, late = Watcher(), Watcher()
    hub.join(early, JOB)
    hub.join(late, JOB)
    assert hub.deliver(state(version=2), skip=late)
    assert hub.deliver(state(version=2), skip=late)
    hub.deliver(state(version=3))
    assert not hub.deliver(state(version=2), skip=early)
    assert (early.got, late.got) == ([("job-1", 2), ("job-1", 3)], [("job-1", 3)])


def test_the_interest_hears_of_the_first_watcher_and_of_the_last(hub: Hub) -> None:
    """By name or by group, however many and in whichever order."""
    one, two, group = Watcher(), Watcher(), Watcher()
    topics = {watcher: hub.join(watcher, names) for watcher, names in ((one, JOB), (two, JOB), (group, GROUP))}
    assert watched(hub) == ["job-1"]
    hub.join(one, JOB)
    hub.deliver(state(version=1, group="g"))
    hub.deliver(state("job-2", group="g"))
    assert watched(hub) == ["job-1", "job-2"]
    for watcher in (one, two, one):
        hub.leave(watcher, topics[watcher])
    assert watched(hub) == ["job-1", "job-2"]
    hub.deliver(state("job-2", 2, ended=True, group="g"))
    assert watched(hub) == ["job-1"]
    assert hub.leave(group, topics[group]).channels == ["group:g"]
    assert (watched(hub), list(hub)) == ([], [])


def test_a_subscriber_that_stands_for_no_client_is_no_watcher(hub: Hub) -> None:
    """The server's own watches do not keep a job watched."""
    own = Watcher()
    own.active = False
    hub.join(own, JOB)
    assert watched(hub) == []
    hub.deliver(state())
    assert own.got == [("job-1", 1)]


def test_a_topic_that_was_left_by_all_and_joined_again_is_another_one(hub: Hub) -> None:
    """Leaving the old one a second time takes nothing from the new one."""
    one, two = Watcher(), Watcher()
    old = hub.join(one, JOB)
    hub.leave(one, old)
    hub.join(two, JOB)
    assert hub.leave(one, old) == Topics()
    hub.deliver(state())
    assert two.got == [("job-1", 1)]


def test_a_group_forgets_the_versions_of_jobs_that_changed_long_ago(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory does not grow with the number of its jobs."""
    monkeypatch.setattr("hookcast.push.hub.KEPT_VERSIONS", 10)
    [topic] = hub.join(Watcher(), GROUP).groups
    for number in range(100):
        hub.deliver(state(f"job-{number}", ended=True, group="g"))
    assert len(topic.versions) == 10
    assert not topic.pending


class World:
    """A node whose store changes, whose bus is late and out of order, and whose watchers come and go: at random."""

    JOBS = ("a", "b", "c", "d")
    GROUPS = ("g", "h")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.store = MemoryStore()
        self.engine = make_engine(self.store, _Bus())
        self.interest = self.engine.hub.interest = Recorded()
        self.store.hold = True
        self.on_the_bus: list[Job] = []
        self.watching: dict[Watcher, set[str]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def change(self) -> None:
        """Commit a change; its publication follows some time later."""
        name = self.random.choice(self.JOBS)
        before = self.store.jobs.get(name) or job(name, 0)
        group = before.group or self.random.choice((None, *self.GROUPS))
        ended = before.status.terminal or self.random.random() < 0.2
        status = JobStatus.COMPLETED if ended else JobStatus.PENDING
        after = replace(before, version=before.version + 1, group=group, status=status)
        self.store.jobs[name] = after
        self.on_the_bus.append(after)

    def publish(self) -> None:
        """Deliver something that is on its way, in any order; only what names no group yet keeps its place."""
        if self.on_the_bus:
            found = self.random.choice(self.on_the_bus)
            same = [late for late in self.on_the_bus if late.request_id == found.request_id and late.group is None]
            self.on_the_bus.remove(found := min([*same, found], key=lambda late: late.version))
            self.engine.hub.deliver(encode(found))

    def join(self) -> None:
        """Somebody comes, or watches more."""
        watcher = self.random.choice([Watcher(), *self.watching])
        jobs = tuple(self.random.sample(self.JOBS, self.random.randint(0, 2)))
        groups = tuple(self.random.sample(self.GROUPS, self.random.randint(0 if jobs else 1, 1)))
        self.watching.setdefault(watcher, set()).update([f"job:{name}" for name in jobs])
        self.watching[watcher].update([f"group:{name}" for name in groups])
        self.tasks.add(asyncio.ensure_future(self._join(watcher, Names(jobs, groups))))

    async def _join(self, watcher: Watcher, names: Names) -> None:
        joined = await self.engine.subscriptions.join(watcher, names)
        for known in joined.states:
            watcher.push(known, 0.0, ended=False)
        if watcher not in self.watching:
            self.engine.subscriptions.leave(watcher, joined.topics)

    def leave(self) -> None:
        """Somebody goes."""
        if self.watching:
            watcher = self.random.choice(list(self.watching))
            names = self.watching.pop(watcher)
            self.engine.subscriptions.leave(watcher, known(self.engine.hub, names))

    async def run(self) -> None:
        """Do many things, then come to rest."""
        async with self.engine.running():
            for _ in range(120):
                self.random.choices(
                    (self.change, self.publish, self.join, self.leave, self.store.let_go), (4, 4, 2, 1, 3)
                )[0]()
                for _ in range(self.random.randint(0, 3)):
                    await asyncio.sleep(0)
            self.store.hold = False
            self.store.let_go()
            await _all(self.tasks)
            while self.on_the_bus:
                self.publish()

    def check(self) -> None:
        """Compare with what a naive reader of the store sees."""
        for watcher, names in self.watching.items():
            newest = {
                found.request_id: found.version
                for found in self.store.jobs.values()
                if f"job:{found.request_id}" in names or f"group:{found.group}" in names
            }
            assert {**dict.fromkeys(newest, 0), **dict(watcher.got)} == newest
            for name in self.JOBS:
                versions = [version for got, version in watcher.got if got == name]
                assert versions == sorted(versions)
        for watcher in list(self.watching):
            self.engine.subscriptions.leave(watcher, known(self.engine.hub, set(self.engine.hub)))
        assert (list(self.engine.hub), self.interest.jobs) == ([], [])


class _Bus:
    """Everything is delivered by the test."""

    condition: Condition = "ok"

    async def subscribe(self, topics: object) -> None:  # noqa: ARG002
        """Nothing to do, but to let others go on."""
        await asyncio.sleep(0)

    def unsubscribe(self, topics: object) -> None:
        """Nothing to do."""

    async def publish(self, state: object) -> None:
        """Nothing to do."""


async def _all(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        await task


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_watcher_ends_with_the_newest_state_and_never_goes_back(seed: int) -> None:
    """Whatever races: late and reordered news, joins that overlap, groups that jobs join later."""
    world = World(seed)
    asyncio.run(world.run())
    world.check()


def test_topics_know_their_kind(hub: Hub) -> None:
    """A job and a group of the same name are two topics."""
    joined = hub.join(Watcher(), Names(jobs=("x",), groups=("x",)))
    assert joined.channels == ["job:x", "group:x"]


def test_what_is_old_for_the_group_is_not_news_for_who_watches_the_job_by_name(hub: Hub) -> None:
    """A slow reader of the group brings a state that a watcher of both has got a newer one of."""
    both, slow = Watcher(), Watcher()
    hub.join(both, GROUP)
    hub.join(slow, GROUP)
    hub.deliver(state(version=2, group="g"))
    hub.join(both, JOB)
    assert not hub.deliver(state(version=1, group="g"), skip=slow)
    assert both.got == [("job-1", 2)]


def test_a_late_state_from_before_the_job_had_a_group_is_not_sent(hub: Hub) -> None:
    """Its watchers by group have a newer one, and one of them now names the job."""
    watcher = Watcher()
    hub.join(watcher, GROUP)
    hub.deliver(state(version=3, group="g"))
    hub.join(watcher, JOB)
    assert not hub.deliver(state(version=2))
    hub.deliver(state(version=4, group="g"))
    assert watcher.got == [("job-1", 3), ("job-1", 4)]

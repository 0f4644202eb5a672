"""Whatever happens in whichever order, every watcher ends with the newest state of each job."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hookcast.bus import Condition
from hookcast.jobs import Job, JobStatus
from hookcast.push import Hub, Names
from hookcast.push.topics import Topics
from hookcast.store import Written
from hookcast.wire import encode
from support.push import MemoryStore, Watcher, job, make_engine
from support.recorded import Recorded


def known(hub: Hub, channels: set[str]) -> Topics:
    """The topics of these channels that have subscribers."""
    return Topics(
        tuple(topic for name, topic in hub._jobs.items() if f"job:{name}" in channels),
        tuple(feed for channel, feed in hub._feeds.items() if channel in channels),
    )


class World:
    """A node whose store changes, whose bus is late and out of order, and whose watchers come and go: at random."""

    JOBS = ("a", "b", "c", "d")
    GROUPS = ("g", "h")
    OWNERS = ("user-1", "user-2")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self.store = MemoryStore()
        self.engine = make_engine(self.store, _Bus())
        self.interest = self.engine.hub.interest = Recorded()
        self.store.hold = True
        self.on_the_bus: list[Job] = []
        self.watching: dict[Watcher, set[str]] = {}
        self.before: dict[Watcher, dict[str, int]] = {}  # versions when it began to watch everything
        self.tasks: set[asyncio.Task[None]] = set()

    def change(self) -> None:
        """Commit a change; its publication follows some time later."""
        name = self.random.choice(self.JOBS)
        before = self.store.jobs.get(name) or job(name, 0)
        group = before.group or self.random.choice((None, *self.GROUPS))
        owner = before.owner or self.random.choice((None, *self.OWNERS))
        ended = before.status.terminal or self.random.random() < 0.2
        status = JobStatus.COMPLETED if ended else JobStatus.PENDING
        after = replace(before, version=before.version + 1, group=group, owner=owner, status=status)
        self.store.jobs[name] = after
        self.on_the_bus.append(after)

    def publish(self) -> None:
        """Deliver something that is on its way, in any order; only what has no group or owner yet keeps its place."""
        if self.on_the_bus:
            found = self.random.choice(self.on_the_bus)
            early = [late for late in self.on_the_bus if late.group is None or late.owner is None]
            same = [late for late in early if late.request_id == found.request_id]
            self.on_the_bus.remove(found := min([*same, found], key=lambda late: late.version))
            self.engine.hub.deliver(encode(found))

    def join(self) -> None:
        """Somebody comes, or watches more."""
        watcher = self.random.choice([Watcher(), *self.watching])
        jobs = tuple(self.random.sample(self.JOBS, self.random.randint(0, 2)))
        groups, owners = (
            tuple(self.random.sample(names, self.random.randint(0, 1))) for names in (self.GROUPS, self.OWNERS)
        )
        names = Names(jobs, groups, owners, self.random.random() < (0.2 if jobs or groups or owners else 1.0))
        begins = names.everything and "all" not in self.watching.get(watcher, ())
        self.watching.setdefault(watcher, set()).update([f"job:{name}" for name in jobs], names.feeds)
        self.tasks.add(asyncio.ensure_future(self._join(watcher, names, begins=begins)))

    async def _join(self, watcher: Watcher, names: Names, *, begins: bool) -> None:
        if begins:  # here, not above: something may be published before this task runs
            self.before[watcher] = {name: found.version for name, found in self.store.jobs.items()}
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

    def _told(self, watcher: Watcher, found: Job) -> bool:
        """Whether a watcher of everything has to know the job: it has changed since, or was told of for another reason.

        An old state that was published late is followed by the newest one, at the next look at the database.
        """
        name, known = found.request_id, dict(watcher.got).get(found.request_id, 0)
        if 0 < known < found.version == self.before[watcher].get(name):
            assert self.engine.hub.lacks(Written(name, found.version, found.owner, found.group, changed_at=0.0))
            watcher.got.append((name, found.version))
        return known > 0 or found.version > self.before[watcher].get(name, 0)

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
                if names & {f"job:{found.request_id}", f"group:{found.group}", f"owner:{found.owner}"}
            }
            if "all" in names:
                newest |= {name: found.version for name, found in self.store.jobs.items() if self._told(watcher, found)}
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

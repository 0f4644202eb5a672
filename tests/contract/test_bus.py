"""What every bus promises: in one process, over Redis, over a Redis Cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from hookcast.bus import ALL_TOPIC, Bus, LocalBus, group_topic, job_topic, owner_topic
from hookcast.bus.redis import RedisBus, open_redis_bus
from hookcast.wire import State
from support.redis import Redis, running_cluster, running_redis
from support.server import until

pytestmark = pytest.mark.anyio


def state(request_id: str, version: int = 1, group: str | None = None, owner: str | None = None) -> State:
    """Some state."""
    return State(request_id=request_id, version=version, terminal=False, group=group, owner=owner, body=b'{"a":1}')


class Pair:
    """Two ends of a bus: what `one` publishes, `two` hears."""

    def __init__(self, one: Bus, two: Bus, heard: list[State]) -> None:
        self.one, self.two, self.heard = one, two, heard

    def versions(self) -> list[tuple[str, int]]:
        """What was heard, without repetitions."""
        return list(dict.fromkeys((found.request_id, found.version) for found in self.heard))


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    """A Redis Cluster for the whole run."""
    with running_cluster() as cluster:
        yield cluster.url


async def live(bus: RedisBus) -> RedisBus:
    """The bus, once it hears others."""
    await until(lambda: bus.condition == "ok")
    return bus


@pytest.fixture(params=["local", "redis", "cluster"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """One kind of bus after the other."""
    heard: list[State] = []
    if request.param == "local":
        bus = LocalBus(heard.append)
        yield Pair(bus, bus, heard)
        return
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else None
    url = url or request.getfixturevalue("cluster_url")
    async with AsyncExitStack() as stack:
        one = await live(await stack.enter_async_context(open_redis_bus(url, "ours", lambda _: None)))
        two = await live(await stack.enter_async_context(open_redis_bus(url, "ours", heard.append)))
        yield Pair(one, two, heard)


async def test_a_state_reaches_who_subscribed_to_its_job(pair: Pair) -> None:
    """After `subscribe` has returned nothing is missed."""
    names = [f"job-{number}" for number in range(40)]
    await pair.two.subscribe([job_topic(name) for name in names])
    for name in names:
        await pair.one.publish(state(name))
    await until(lambda: len(pair.versions()) == 40)
    assert sorted(pair.versions()) == sorted((name, 1) for name in names)
    assert pair.heard[0].body == b'{"a":1}'


async def test_a_state_reaches_who_subscribed_to_its_group(pair: Pair) -> None:
    await pair.two.subscribe([group_topic("g")])
    await pair.one.publish(state("job-1", group="g"))
    await until(lambda: pair.heard)
    assert (pair.heard[0].request_id, pair.heard[0].group) == ("job-1", "g")


@pytest.mark.parametrize("topic", [owner_topic("user-1"), owner_topic("a:b é"), ALL_TOPIC])
async def test_a_state_reaches_who_subscribed_to_its_owner_or_to_everything(pair: Pair, topic: str) -> None:
    """Once for each topic, and nobody else's; the local bus leaves the choice to the hub."""
    await pair.two.subscribe([topic])
    for number, owner in enumerate((None, "user-2", "user-1", "a:b é")):
        await pair.one.publish(state(f"job-{number}", group="g", owner=owner))
    await pair.one.publish(state("last", owner="user-1" if topic.endswith("user-1") else "a:b é"))
    await until(lambda: ("last", 1) in pair.versions())
    expected = [
        (f"job-{number}", 1)
        for number, owner in enumerate((None, "user-2", "user-1", "a:b é"))
        if topic in {ALL_TOPIC, f"owner:{owner}"} or isinstance(pair.one, LocalBus)
    ]
    assert pair.versions() == [*expected, ("last", 1)]
    assert len(pair.heard) == len(expected) + 1
    assert pair.heard[-1].owner is not None


async def test_states_of_one_job_arrive_in_the_order_of_their_versions(pair: Pair) -> None:
    """As one node publishes them."""
    await pair.two.subscribe([job_topic("job-1")])
    for version in range(1, 301):
        await pair.one.publish(state("job-1", version))
    await until(lambda: len(pair.versions()) == 300)
    assert pair.versions() == [("job-1", version) for version in range(1, 301)]


async def test_a_state_that_is_too_large_for_redis_keeps_no_other_from_it(pair: Pair) -> None:
    """It might drop the node with all its subscriptions; the other nodes read this state from the database."""
    topics = [job_topic("large"), job_topic("small"), group_topic("g"), owner_topic("o"), ALL_TOPIC]
    await pair.two.subscribe(topics)
    body = bytes(12 * 1024 * 1024)
    await pair.one.publish(State(request_id="large", version=1, terminal=True, group="g", owner="o", body=body))
    await pair.one.publish(state("small"))
    await until(lambda: ("small", 1) in pair.versions())
    assert (("large", 1) in pair.versions()) == isinstance(pair.one, LocalBus)


async def test_subscribing_again_after_leaving_works(pair: Pair) -> None:
    topics = [job_topic("job-1"), job_topic("job-2")]
    await pair.two.subscribe(topics)
    pair.two.unsubscribe(topics)
    await pair.two.subscribe(topics)
    await pair.one.publish(state("job-2"))
    await until(lambda: pair.versions() == [("job-2", 1)])


@pytest.mark.parametrize("kind", ["redis_server", "cluster_url"])
async def test_deployments_on_one_redis_do_not_hear_one_another(kind: str, request: pytest.FixtureRequest) -> None:
    """Nor is anything lost between the nodes of one: the jobs and feeds of both have the same names."""
    given = request.getfixturevalue(kind)
    url: str = given if isinstance(given, str) else given.url
    heard: dict[str, list[State]] = {"ours": [], "theirs": []}
    topics = [job_topic("job-1"), group_topic("g"), owner_topic("u"), ALL_TOPIC]
    async with AsyncExitStack() as stack:
        speakers = {}
        for name, found in heard.items():
            speakers[name] = await live(await stack.enter_async_context(open_redis_bus(url, name, lambda _: None)))
            ear = await live(await stack.enter_async_context(open_redis_bus(url, name, found.append)))
            await ear.subscribe(topics)
        await speakers["theirs"].publish(state("job-1", 2, "g", "u"))
        await until(lambda: len(heard["theirs"]) == 4)  # Redis has passed it on to all who listen to these channels
        await speakers["ours"].publish(state("job-1", 1, "g", "u"))
        await until(lambda: len(heard["ours"]) == 4)
    assert [found.version for found in heard["ours"]] == [1] * 4


async def test_a_redis_that_comes_back_is_used_again() -> None:
    """What was subscribed to before, and meanwhile, is heard; nobody waits for a Redis that is away."""
    with running_redis() as server:
        heard: list[State] = []
        async with (
            open_redis_bus(server.url, "ours", heard.append) as two,
            open_redis_bus(server.url, "ours", lambda _: None) as one,
        ):
            await live(one)
            await live(two)
            await two.subscribe([job_topic("job-1")])
            server.stop()
            await until(lambda: one.condition == two.condition == "unavailable")
            await one.publish(state("job-1", 1))
            await two.subscribe([job_topic("job-2")])
            server.start()
            await live(one)
            await live(two)
            await two.subscribe([job_topic("job-1"), job_topic("job-2")])
            await one.publish(state("job-1", 2))
            await one.publish(state("job-2", 1))
            await until(lambda: {("job-1", 2), ("job-2", 1)} <= {(found.request_id, found.version) for found in heard})


async def test_a_frozen_redis_is_noticed_and_left_alone() -> None:
    """Publishing returns at once, and after the thaw everything is heard again."""
    with running_redis() as server:
        heard: list[State] = []
        async with open_redis_bus(server.url, "ours", heard.append) as bus:
            await live(bus)
            await bus.subscribe([job_topic("job-1")])
            server.freeze()
            for version in range(1, 101):
                await bus.publish(state("job-1", version))
            assert len(heard) == 100  # delivered here without Redis
            await until(lambda: bus.condition == "unavailable")
            server.thaw()
            await live(bus)
            async with open_redis_bus(server.url, "ours", lambda _: None) as other:
                await live(other)
                await bus.subscribe([job_topic("job-1")])
                await other.publish(state("job-1", 200))
                await until(lambda: heard[-1].version == 200)


async def test_leaving_a_topic_leaves_nothing_at_redis(redis_server: Redis) -> None:
    """Only the anchor stays subscribed."""
    async with open_redis_bus(redis_server.url, "ours", lambda _: None) as bus:
        await live(bus)
        topics = [job_topic(f"job-{number}") for number in range(1200)]
        await bus.subscribe(topics)
        assert len(redis_server.cli("pubsub", "channels", "job:ours:*").split()) == 1200
        bus.unsubscribe(topics)

        async def emptied() -> None:
            while await asyncio.to_thread(redis_server.cli, "pubsub", "channels", "job:ours:*"):
                pass

        await emptied()

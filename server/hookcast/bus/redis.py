"""The bus of many nodes: Redis pub/sub, or the sharded pub/sub of a Redis Cluster; one channel a topic.

What this node publishes is delivered here at once, and to the other nodes through Redis. A Redis that is away, slow or
frozen costs nothing but its speed: nobody waits for it, what cannot be published is dropped, and every node finds in
the database what it has not heard of.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from hookcast.bus.base import Deliver, group_topic, job_topic
from hookcast.bus.link import ANSWER_SECONDS, FAULTS, Link, reason
from hookcast.logs import get_logger
from hookcast.wire import State

MAX_QUEUED = 10_000  # messages that wait to be published; the oldest are dropped
PORTION = 200
REFRESH_SECONDS = 5.0  # the map of a cluster; at once after a break

_log = get_logger(__name__)
_Address = tuple[str, int]


class RedisBus:
    """Open it with `open_redis_bus`."""

    def __init__(self, url: str, deliver: Deliver) -> None:
        self._sharded = "+cluster://" in url
        self._url = url.replace("+cluster://", "://", 1)
        self._deliver = deliver
        self._queue: deque[tuple[str, bytes]] = deque(maxlen=MAX_QUEUED)
        self._queued = asyncio.Event()
        self._stale = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._links: dict[_Address, tuple[Link, asyncio.Task[None]]] = {}
        self._slots: list[tuple[int, int, _Address]] = []
        self._topics: dict[str, Link | None] = {}

    @property
    def live(self) -> bool:
        """Whether the states of other nodes arrive."""
        return bool(self._links) and all(link.live for link, _ in self._links.values())

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Listen. While Redis does not answer the database must do, so nobody waits long for it."""
        by_link: dict[Link, list[str]] = defaultdict(list)
        for topic in topics:
            link = self._topics[topic] = self._link_of(topic)
            if link is not None:
                by_link[link].append(topic)
        for link, names in by_link.items():
            await link.subscribe(names)

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Listen no longer, soon."""
        for topic in topics:
            link = self._topics.pop(topic, None)
            if link is not None:
                link.unsubscribe((topic,))

    async def publish(self, state: State) -> None:
        """Deliver here, queue for the others."""
        self._deliver(state)
        payload = pack(state)
        self._queue.append((job_topic(state.request_id), payload))
        if state.group is not None:
            self._queue.append((group_topic(state.group), payload))
        self._queued.set()

    async def run(self) -> None:
        """Own the connections, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._publish())
            if self._sharded:
                tasks.create_task(self._follow_the_map())
            else:
                self._meet(("", 0))

    async def _publish(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                portion = [self._queue.popleft() for _ in range(min(PORTION, len(self._queue)))]
                by_link: dict[Link, list[tuple[str, bytes]]] = defaultdict(list)
                for topic, payload in portion:
                    link = self._link_of(topic)
                    if link is not None:
                        by_link[link].append((topic, payload))
                await asyncio.gather(*(self._send(*each) for each in by_link.items()))

    async def _send(self, link: Link, messages: list[tuple[str, bytes]]) -> None:
        try:
            await link.publish(messages)
        except FAULTS as error:
            _log.warning("bus_not_published", messages=len(messages) + len(self._queue), reason=reason(error))
            self._queue.clear()  # by the time Redis is back the other nodes have it from the database
            self._stale.set()

    def _received(self, payload: bytes) -> None:
        try:
            self._deliver(unpack(payload))
        except msgspec.DecodeError:
            _log.warning("bus_message_not_understood")  # of a newer version, or of a stranger

    def _link_of(self, topic: str) -> Link | None:
        address: _Address | None = ("", 0)
        if self._sharded:
            slot = key_slot(topic.encode())
            address = next((address for first, last, address in self._slots if first <= slot <= last), None)
        found = self._links.get(address) if address is not None else None
        return None if found is None else found[0]

    def _meet(self, address: _Address) -> None:
        """A link to a server that is new here; ("", 0) is the one of the URL."""
        if self._tasks is not None and address not in self._links:
            link = Link(self._client(address), self._received, sharded=self._sharded, broken=self._stale.set)
            self._links[address] = link, self._tasks.create_task(link.run())

    def _client(self, address: _Address = ("", 0)) -> Redis:
        client = Redis.from_url(
            self._url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=None,  # each call has its own deadline
            health_check_interval=0,
        )
        if address != ("", 0):
            client.connection_pool.connection_kwargs.update(host=address[0], port=address[1])
        return client

    async def _follow_the_map(self) -> None:
        """Ask the cluster again and again who has which slots, and move the subscriptions there."""
        while True:
            self._stale.clear()
            for address in [*self._links, ("", 0)]:
                try:
                    await self._read_map(address)
                    break
                except FAULTS as error:
                    _log.warning("bus_map_not_read", reason=reason(error))
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._stale.wait()
                    await asyncio.sleep(ANSWER_SECONDS / 2)  # not again and again while a server is down
            except TimeoutError:
                continue

    async def _read_map(self, asked: _Address) -> None:
        client = self._client(asked)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()
        host = str(client.connection_pool.connection_kwargs.get("host", "localhost"))
        # Redis documentation, CLUSTER SLOTS: a node without a host is the one that was asked.
        self._slots = [(low, high, (node[0].decode() if node[0] else host, node[1])) for low, high, node, *_ in answer]
        addresses = {address for _, _, address in self._slots}
        for new in addresses:
            self._meet(new)
        for gone in self._links.keys() - addresses:
            self._links.pop(gone)[1].cancel()
        self._move()

    def _move(self) -> None:
        """Each topic to the link that has it now."""
        for topic, old in list(self._topics.items()):
            link = self._link_of(topic)
            if link is not old:
                self._topics[topic] = link
                if old is not None:
                    old.unsubscribe((topic,))
                if link is not None:
                    link.want((topic,))


def pack(state: State) -> bytes:
    """A state as one message."""
    return msgspec.msgpack.encode(
        (state.request_id, state.version, state.terminal, state.group, state.owner, state.body)
    )


def unpack(payload: bytes) -> State:
    """A message as the state it was. Raises msgspec.DecodeError."""
    shape = tuple[str, int, bool, str | None, str | None, bytes]
    request_id, version, terminal, group, owner, body = msgspec.msgpack.decode(payload, type=shape)
    return State(request_id=request_id, version=version, terminal=terminal, body=body, group=group, owner=owner)


@asynccontextmanager
async def open_redis_bus(url: str, deliver: Deliver) -> AsyncIterator[RedisBus]:
    """A bus on `redis://`, `rediss://`, `redis+cluster://` or `rediss+cluster://`. Redis may come later."""
    bus = RedisBus(url, deliver)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run())
        try:
            yield bus
        finally:
            running.cancel()

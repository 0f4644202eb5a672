"""The bus of several nodes: Redis pub/sub, or sharded pub/sub of a Redis Cluster; one channel per topic.

A channel is a topic with the deployment's id in it, `job:<deployment>:<requestId>`: deployments that share a Redis do
not receive each other's states. Database numbers would not separate them: pub/sub ignores these.

A state is delivered on this node immediately, and to the other nodes through Redis. A Redis that is down, slow or
frozen only costs latency: no caller waits for it, messages that cannot be published are dropped, and every node reads
the states it missed from the database. So it does with states that are too large to be published.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import Context

import msgspec
from redis.asyncio import Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from hookcast import redis_url
from hookcast.bus.base import Condition, Deliver, feed_topics, job_topic
from hookcast.bus.link import ANSWER_SECONDS, FAULTS, Link, reason
from hookcast.bus.outbox import Message, Outbox
from hookcast.bus.tls import TlsConnection
from hookcast.logs import get_logger
from hookcast.tasks import beside
from hookcast.wire import State

TRIED_NAMES = 1_000  # to find a channel of one server of a cluster
REFRESH_SECONDS = 5.0  # between reads of a cluster's slot map; sooner after a disconnect

_log = get_logger(__name__)
_Address = tuple[str, int]


class RedisBus:
    """A bus on Redis. Open it with `open_redis_bus`."""

    def __init__(self, url: str, deployment: str, deliver: Deliver) -> None:
        parsed = redis_url.parse(url)
        self._sharded = parsed.cluster
        self._url = parsed.url
        self._deployment = deployment
        self._deliver = deliver
        self._outbox = Outbox()
        self._queued = asyncio.Event()
        self._stale = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._links: dict[_Address, tuple[Link, asyncio.Task[None]]] = {}
        self._slots: list[tuple[int, int, _Address]] = []
        self._channels: dict[str, Link | None] = {}

    @property
    def condition(self) -> Condition:
        """`ok` while every server that is needed delivers and takes messages, `unavailable` when none delivers."""
        links = [link for link, _ in self._links.values()]
        if not any(link.live for link in links):
            return "unavailable"
        return "ok" if all(link.live and link.speaks for link in links) else "degraded"

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe, with only a short wait for Redis: while it does not answer, states come from the database."""
        by_link: dict[Link, list[str]] = defaultdict(list)
        for channel in map(self._channel_of, topics):
            link = self._channels[channel] = self._link_of(channel)
            if link is not None:
                by_link[link].append(channel)
        for link, names in by_link.items():
            await link.subscribe(names)

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Unsubscribe without waiting."""
        for channel in map(self._channel_of, topics):
            link = self._channels.pop(channel, None)
            if link is not None:
                link.unsubscribe((channel,))

    async def publish(self, state: State) -> None:
        """Deliver the state on this node and queue it for the others, once for each of its topics."""
        self._deliver(state)
        topics = (job_topic(state.request_id), *feed_topics(state.owner, state.group))
        self._outbox.put(map(self._channel_of, topics), pack(state))
        self._queued.set()

    async def run(self) -> None:
        """Own the connections until cancelled."""
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
            while self._outbox:
                by_link: dict[Link, list[Message]] = defaultdict(list)
                for channel, payload in self._outbox.take():
                    link = self._link_of(channel)
                    if link is not None:
                        by_link[link].append((channel, payload))
                await asyncio.gather(*(self._send(*each) for each in by_link.items()))

    async def _send(self, link: Link, messages: list[Message]) -> None:
        try:
            await link.publish(messages)
        except FAULTS as error:
            _log.warning("bus_not_published", messages=len(messages) + len(self._outbox), reason=reason(error))
            self._outbox.clear()  # by the time Redis is back, the other nodes have read these states from the database
            self._stale.set()

    def _received(self, payload: bytes) -> None:
        try:
            self._deliver(unpack(payload))
        except msgspec.DecodeError:
            _log.warning("bus_message_not_understood")  # from a newer version, or not from Hookcast

    def _channel_of(self, topic: str) -> str:
        kind, _, name = topic.partition(":")
        return f"{kind}:{self._deployment}:{name}"

    def _trials(self, address: _Address) -> list[str]:
        """Return a channel of each kind at this server that no job, group or owner has."""
        found: list[str] = []
        for kind in ("job", "group", "owner", "all"):
            names = (f"{kind}:{self._deployment}:\0{number}" for number in range(TRIED_NAMES))
            found += itertools.islice((name for name in names if self._address_of(name) == address), 1)
        return found

    def _address_of(self, channel: str) -> _Address | None:
        """Return the server of a channel; None while the cluster's map has none."""
        if not self._sharded:
            return ("", 0)
        slot = key_slot(channel.encode())
        return next((address for first, last, address in self._slots if first <= slot <= last), None)

    def _link_of(self, channel: str) -> Link | None:
        address = self._address_of(channel)
        found = self._links.get(address) if address is not None else None
        return None if found is None else found[0]

    def _meet(self, address: _Address) -> None:
        """Start a link to a new server; ("", 0) is the server of the URL."""
        if self._tasks is not None and address not in self._links:
            link = Link(
                self._client(address),
                self._received,
                sharded=self._sharded,
                trials=lambda: self._trials(address),
                broken=self._stale.set,
            )
            self._links[address] = link, self._tasks.create_task(link.run(), context=Context())

    def _client(self, address: _Address = ("", 0)) -> Redis:
        client = Redis.from_url(
            self._url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=ANSWER_SECONDS,
            socket_timeout=None,  # each call has its own deadline
            health_check_interval=0,
        )
        if client.connection_pool.connection_class is SSLConnection:
            client.connection_pool.connection_class = TlsConnection
        if address != ("", 0):
            client.connection_pool.connection_kwargs.update(host=address[0], port=address[1])
        return client

    async def _follow_the_map(self) -> None:
        """Poll the cluster's slot map, and move subscriptions to the servers that own their slots."""
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
                    await asyncio.sleep(ANSWER_SECONDS / 2)  # pace the retries while a server is down
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
        # Redis documentation, CLUSTER SLOTS: a node without a host is the one that was queried.
        self._slots = [(low, high, (node[0].decode() if node[0] else host, node[1])) for low, high, node, *_ in answer]
        addresses = {address for _, _, address in self._slots}
        for new in addresses:
            self._meet(new)
        for gone in self._links.keys() - addresses:
            self._links.pop(gone)[1].cancel()
        self._move()

    def _move(self) -> None:
        """Move each channel to the link that owns its slot now."""
        for channel, old in list(self._channels.items()):
            link = self._link_of(channel)
            if link is not old:
                self._channels[channel] = link
                if old is not None:
                    old.unsubscribe((channel,))
                if link is not None:
                    link.want((channel,))


def pack(state: State) -> bytes:
    """Encode a state as one message."""
    return msgspec.msgpack.encode(
        (state.request_id, state.version, state.terminal, state.group, state.owner, state.body)
    )


def unpack(payload: bytes) -> State:
    """Decode a message into a state. Raises msgspec.DecodeError."""
    shape = tuple[str, int, bool, str | None, str | None, bytes]
    request_id, version, terminal, group, owner, body = msgspec.msgpack.decode(payload, type=shape)
    return State(request_id=request_id, version=version, terminal=terminal, body=body, group=group, owner=owner)


@asynccontextmanager
async def open_redis_bus(url: str, deployment: str, deliver: Deliver) -> AsyncIterator[RedisBus]:
    """Open the deployment's bus on `redis://`, `rediss://`, `redis+cluster://` or `rediss+cluster://`.

    Redis may be down when this is called.
    """
    bus = RedisBus(url, deployment, deliver)
    async with beside(bus.run()):
        yield bus

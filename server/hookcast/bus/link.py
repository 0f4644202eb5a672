"""A connection to one Redis server for subscriptions, and a client for publishing."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from hookcast.logs import get_logger

ANSWER_SECONDS = 1.0  # how long Redis may take before it counts as unavailable
SILENCE_SECONDS = 1.0  # silence before a PING
TRIAL_SECONDS = 5.0  # between trials of publishing; `ANSWER_SECONDS` while they fail
MIN_PAUSE_SECONDS = 0.05
MAX_PAUSE_SECONDS = 2.0
PORTION = 500  # channels per command
ANCHOR = "hookcast"  # a channel without messages: a connection without subscriptions cannot listen

FAULTS = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)
_log = get_logger(__name__)


def reason(error: BaseException) -> str:
    """Return a text for the log: redis-py's repr names only a category, and a TimeoutError has no message."""
    return str(error) or type(error).__name__


class Link:
    """Keeps the wanted channels subscribed across reconnects. `sharded` = the server belongs to a cluster.

    `live`: the server delivers to this node. `speaks`: it also takes messages from it, which needs other rights and
    another connection; so it is tried, also on a node that has nothing to publish. `trials` returns channels of this
    server without subscribers. `broken` is called after each disconnect, before the next attempt; `sleep` is injected
    for tests.
    """

    def __init__(
        self,
        client: Redis,
        received: Callable[[bytes], None],
        *,
        sharded: bool,
        trials: Callable[[], list[str]],
        broken: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._received = received
        self._trials = trials
        self._broken = broken
        self._sleep = sleep
        self._prefix = "S" if sharded else ""
        self._portion = 1 if sharded else PORTION  # sharded channels of one command must share a slot
        self._changed = asyncio.Event()
        self._sent: set[str] = set()
        self._confirmed: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._wanted: set[str] = set()
        self.live = False
        self.speaks = False

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Subscribe and wait for Redis to confirm: at most `ANSWER_SECONDS`, and not at all while it is unavailable."""
        wanted = list(channels)
        self._wanted.update(wanted)
        missing = [channel for channel in wanted if channel not in self._confirmed]
        if missing:
            self._changed.set()
        if missing and self.live:
            loop = asyncio.get_running_loop()
            futures = [self._waiting.setdefault(channel, loop.create_future()) for channel in missing]
            await asyncio.wait(futures, timeout=ANSWER_SECONDS)

    def want(self, channels: Iterable[str]) -> None:
        """Subscribe without waiting."""
        self._wanted.update(channels)
        self._changed.set()

    def unsubscribe(self, channels: Iterable[str]) -> None:
        """Unsubscribe without waiting."""
        self._wanted.difference_update(channels)
        self._changed.set()

    async def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish all messages in one round trip. Raises the errors in FAULTS."""
        try:
            await self._publish(messages)
        except FAULTS:
            self.speaks = False
            raise
        self.speaks = True

    async def _publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        async with asyncio.timeout(ANSWER_SECONDS), self._client.pipeline(transaction=False) as pipeline:
            for channel, payload in messages:
                pipeline.execute_command(f"{self._prefix}PUBLISH", channel, payload)
            answers = await pipeline.execute(raise_on_error=False)  # redis-py's own error would quote the message
        for answer in answers:
            if isinstance(answer, RedisError):
                raise answer

    async def run(self) -> None:
        """Connect, listen and reconnect until cancelled."""
        pause = MIN_PAUSE_SECONDS
        clock = asyncio.get_running_loop().time
        try:
            while True:
                began = clock()
                connection = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
                try:
                    await self._attend(connection)
                finally:
                    # A server that accepts the connection may still refuse a subscription, repeatedly.
                    lasted = clock() - began > MAX_PAUSE_SECONDS
                    pause = MIN_PAUSE_SECONDS if lasted else min(pause * 2, MAX_PAUSE_SECONDS)
                    self._lost()
                    with suppress(*FAULTS):
                        await connection.disconnect(nowait=True)
                self._broken()
                await self._sleep(pause * (0.5 + random.random()))  # noqa: S311
        finally:
            with suppress(*FAULTS):
                await self._client.aclose()

    async def _attend(self, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(connection))
                tasks.create_task(self._listen(connection))
                tasks.create_task(self._try_publishing())
        except* FAULTS as group:
            _log.warning("bus_broken", reason=reason(group.exceptions[0]))

    async def _try_publishing(self) -> None:
        """Publish empty messages that nobody receives, and log when the server begins to refuse them."""
        told = ""
        while True:
            try:
                await self.publish([(channel, b"") for channel in self._trials()])
                told = ""
            except FAULTS as error:
                if reason(error) != told:
                    told = reason(error)
                    _log.warning("bus_mute", reason=told)
            await asyncio.sleep(TRIAL_SECONDS if self.speaks else ANSWER_SECONDS)

    def _lost(self) -> None:
        self.live = False
        self._sent.clear()
        self._confirmed.clear()
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    async def _send(self, connection: AbstractConnection) -> None:
        """Send SUBSCRIBE and UNSUBSCRIBE whenever the wanted channels change."""
        await self._command(connection, "SUBSCRIBE", ANCHOR)
        while True:
            self._changed.clear()
            gone, new = self._sent - self._wanted, self._wanted - self._sent
            self._confirmed -= gone
            self._sent = set(self._wanted)
            await self._tell(connection, "UNSUBSCRIBE", gone)
            await self._tell(connection, "SUBSCRIBE", new)
            await self._changed.wait()

    async def _tell(self, connection: AbstractConnection, verb: str, channels: set[str]) -> None:
        names = list(channels)
        for start in range(0, len(names), self._portion):
            await self._command(connection, self._prefix + verb, *names[start : start + self._portion])

    async def _command(self, connection: AbstractConnection, *words: str) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.send_command(*words, check_health=False)

    async def _listen(self, connection: AbstractConnection) -> None:
        """Read messages; raise TimeoutError when the server stays silent even after a PING."""
        asked = False
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    response = await connection.read_response(disconnect_on_error=False)
            except TimeoutError:
                if asked:
                    raise
                asked = True
                await self._command(connection, "PING")
                continue
            asked = False
            if isinstance(response, list):
                self._take(response[0], *response[1:])

    def _take(self, kind: bytes, channel: bytes = b"", data: bytes | int = b"") -> None:
        if kind in {b"message", b"smessage"} and isinstance(data, bytes):
            self._received(data)
        elif kind in {b"subscribe", b"ssubscribe"}:
            name = channel.decode()
            self.live = True
            if name in self._sent:  # not unsubscribed again meanwhile
                self._confirmed.add(name)
            future = self._waiting.pop(name, None)
            if future is not None and not future.done():
                future.set_result(None)
        elif kind == b"sunsubscribe" and channel.decode() in self._sent:
            raise RedisError("the slot of a channel has moved")  # the server itself ended the subscription

"""`hookcast listen`: bring the webhooks that a backend would get to this machine, over a stream, without a tunnel."""

import asyncio
import base64
import os
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from hookcast.cli import remote
from hookcast.cli.listening import Events, Happening
from hookcast.cli.terminal import plain
from hookcast.client import ClientError, Hookcast, NotFound
from hookcast.errors import HookcastError, UsageError
from hookcast.eventtypes import EventType, event_types
from hookcast.forward.events import event_body, message_id
from hookcast.forward.sending import Answer, Sender, senders
from hookcast.forward.signing import signed_headers
from hookcast.keys import signing_keys
from hookcast.settings import ClientSettings, load_forward_settings
from hookcast.urls import check_forward_url
from hookcast.wire import State, rfc3339

WORKERS = 8  # requests to the receiver at once; the events of one job go to one of them, in order
WAITING = 1000  # events for each; beyond that the stream is read no further, and the server keeps the newest states
PAUSES = (0.5, 2.0, 5.0)  # before the retries of one delivery
MAX_PAUSE = 30.0  # that a receiver's Retry-After can ask for


class Given(Struct, frozen=True):
    """What to listen for: the receiver, the types of events, and the keys that sign."""

    forward_to: str
    wanted: frozenset[EventType]
    keys: tuple[bytes, ...]


def given(forward_to: str, events: str | None, secret: str | None) -> Given:
    """Return what the options and the environment say. Raises UsageError, and SettingsError for the environment."""
    settings = load_forward_settings()
    try:
        check_forward_url(forward_to)
    except ValueError as error:
        raise UsageError(f"--forward-to {error}.") from None
    try:
        wanted = event_types(settings.forward_events if events is None else events)
    except ValueError as error:
        raise UsageError(f"--events {error}.") from None
    if secret is None and settings.forward_secret is not None:
        secret = settings.forward_secret.get_secret_value()
    if secret is None:
        secret = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
        _complain(f"signing with a new secret: {secret} (set HOOKCAST_FORWARD_SECRET to keep one)")
    try:
        return Given(forward_to, wanted, signing_keys(secret))
    except ValueError as error:
        raise UsageError(f"--secret {error}.") from None


async def listen(settings: ClientSettings, given: Given) -> int:
    """Deliver until cancelled. Raises HookcastError when the server does not answer, or does not show all jobs."""
    with senders(_now) as sender:
        async with remote.open_client(settings) as client:
            begins = await client.server_time()  # fails at once when no server answers, where a watch would retry
            postman = Postman(client, sender(given.forward_to), given.keys)
            queues = [asyncio.Queue[Happening](WAITING) for _ in range(WORKERS)]
            _complain(f"forwarding the webhooks of {settings.server} to {_shown(given.forward_to)}; Ctrl-C ends it")
            work = [asyncio.ensure_future(postman.run(queue)) for queue in queues]
            work.append(asyncio.ensure_future(_sort(client, Events(given.wanted, begins), queues)))
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
                done.pop().result()
            finally:
                for task in work:
                    task.cancel()
                await asyncio.wait(work)
    raise AssertionError("a feed has no end")


async def _sort(client: Hookcast, events: Events, deliveries: Sequence["asyncio.Queue[Happening]"]) -> None:
    """Put the events of each job into one of the queues."""
    try:
        async with aclosing(client.watch_all(since=events.begins, notify=remote.complain)) as jobs:
            async for job in jobs:
                for happening in events.of(job):
                    await deliveries[hash(happening.request_id) % len(deliveries)].put(happening)
    except NotFound:
        raise HookcastError("Only an API key shows all jobs (--token, or HOOKCAST_TOKEN).") from None


class Postman:
    """Delivers events to the receiver, one after the other, and prints a line for each attempt."""

    def __init__(self, client: Hookcast, sender: Sender, keys: tuple[bytes, ...]) -> None:
        self._client = client
        self._sender = sender
        self._keys = keys

    async def run(self, queue: "asyncio.Queue[Happening]") -> None:
        """Deliver until cancelled."""
        while True:
            happening = await queue.get()
            for pause in (*PAUSES, None):
                after = await self._attempt(happening, pause)
                if after is None:
                    break
                await asyncio.sleep(after)

    async def _attempt(self, happening: Happening, pause: float | None) -> float | None:
        """Try once. Return the seconds until the next attempt; None when there is none."""
        name = message_id(happening.type, happening.request_id, happening.created_at, happening.version)
        try:
            body = await self._body(happening)
            if body is None:
                return None
        except NotFound:
            return None  # it has been removed
        except ClientError as error:
            _tell(happening, name, None, 0.0, pause, str(error))
            return pause
        began = time.monotonic()
        answer = await self._send(name, body)
        final = answer.final or pause is None
        after = None if final or pause is None else min(max(pause, answer.after or 0.0), MAX_PAUSE)
        _tell(happening, name, answer, time.monotonic() - began, after, None)
        return after

    async def _body(self, happening: Happening) -> bytes | None:
        """Return the body with the job's newest state, byte for byte; None for progress of a job that has ended since.

        The server's own webhook is made of the newest state as well.
        """
        job = await self._client.get(happening.request_id)
        if job.ended and happening.type is EventType.PROGRESS:
            return None
        state = State(request_id=job.request_id, version=job.version, terminal=job.ended, body=job.body)
        return event_body(happening.type, happening.at, state)

    async def _send(self, name: str, body: bytes) -> Answer:
        now = int(_now().timestamp())
        signed = signed_headers(self._keys, message_id=name, timestamp=now, body=body)
        return await self._sender.post(body, {"Content-Type": "application/json", **signed})


def _tell(  # noqa: PLR0917
    happening: Happening, name: str, answer: Answer | None, seconds: float, after: float | None, trouble: str | None
) -> None:
    """Print an attempt: a line on a terminal, a line of JSON in a pipe."""
    reason = trouble if answer is None else answer.reason
    if not sys.stdout.isatty():
        line = {
            "time": rfc3339(_now()),
            "type": happening.type.value,
            "requestId": happening.request_id,
            "webhookId": name,
            "status": None if answer is None else answer.status,
            "ms": round(seconds * 1000),
            "error": reason,
            "retryIn": after,
        }
        _print(msgspec.json.encode(line).decode())
        return
    shown = reason if answer is None or answer.status is None else str(answer.status)
    delivered = answer is not None and answer.final
    rest = "" if delivered else f"; trying again in {after:g} s" if after is not None else "; given up"
    now = datetime.now().astimezone().strftime("%H:%M:%S")
    what = f"{now}  {happening.type.value:<13}  {plain(happening.request_id)}"
    _print(f"{what}  {plain(shown or '')}  {round(seconds * 1000)} ms{rest}")


def _shown(url: str) -> str:
    """Return a URL without what may be secret in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _now() -> datetime:
    return datetime.now(UTC)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"hookcast: {line}\n")

"""Passes fal's webhooks on to a route that verifies fal's own signature: the durable work `relay`.

The webhook is kept in the facts of its piece, and is sent byte for byte with the headers that fal signed.
"""

import asyncio
import base64
import hashlib
import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Protocol

import msgspec
from msgspec import Struct

from hookcast.consequences import Kind, Start
from hookcast.fal.signature import SIGNED_NAMES, SignedHeaders
from hookcast.forward.schedule import RELAY_RETRIES, pause
from hookcast.forward.sending import Sender
from hookcast.logs import Throttle, get_logger
from hookcast.store import JobStore, Piece
from hookcast.upkeep.teller import GIVEN_UP, MAX_AT_ONCE, MAX_LARGE, MAX_SECONDS
from hookcast.upkeep.worker import Done, Handler, Later, Outcome

LARGE_BYTES = 64 * 1024  # encoded in a thread, and few at once in memory

_log = get_logger(__name__)


class Webhook(Struct, omit_defaults=True):
    """The facts of a piece: fal's headers, and the body in base64 (a database keeps no other bytes in text)."""

    headers: dict[str, str]
    body: bytes


class Tally(Protocol):
    """Counts attempts."""

    def relayed(self, answer: str) -> None:
        """Count an attempt to pass a webhook on; `answer` is a Verdict, or GIVEN_UP."""


async def relaying(request_id: str, signed: SignedHeaders, headers: Mapping[str, str], body: bytes) -> Start:
    """Return the work of passing a verified webhook on: one piece for each signature."""
    digest = hashlib.sha256(bytes.fromhex(signed.signature)).digest()[:18]
    name = f"{Kind.RELAY}:{request_id}:{base64.urlsafe_b64encode(digest).decode()}"
    passed = {name: value for name in (*SIGNED_NAMES, "content-type") if (value := headers.get(name)) is not None}
    webhook = Webhook(passed, body)
    large = len(body) > LARGE_BYTES
    facts = await asyncio.to_thread(_encoded, webhook) if large else _encoded(webhook)
    return Start(name, Kind.RELAY, request_id, facts=facts)


def _encoded(webhook: Webhook) -> str:
    return msgspec.json.encode(webhook).decode()


def _decoded(facts: str) -> Webhook:
    return msgspec.json.decode(facts, type=Webhook)


class Relay:
    """Passes webhooks on to one route; `luck` (0 to 1) is injected for tests."""

    def __init__(
        self, store: JobStore, sender: Sender, tally: Tally, *, luck: Callable[[], float] = random.random
    ) -> None:
        self._store = store
        self._sender = sender
        self._tally = tally
        self._luck = luck
        self._large = asyncio.Semaphore(MAX_LARGE)
        self._lines = Throttle()

    def handlers(self) -> dict[str, Handler]:
        """Return the handler of the work `relay`."""
        return {Kind.RELAY: Handler(self.relay, MAX_AT_ONCE, MAX_SECONDS, light=True, yields=True)}

    async def relay(self, piece: Piece) -> Outcome:
        """Send one webhook; it is Done when the route has it, wants no more of it, or has failed too often."""
        size = await self._store.work.size(piece.id)
        if size is None or await self._store.outline(piece.request_id) is None:  # removed with its job
            return Done()
        async with self._large if size > LARGE_BYTES else nullcontext():
            facts = await self._store.work.facts(piece.id)
            if facts is None:
                return Done()
            webhook = await asyncio.to_thread(_decoded, facts) if size > LARGE_BYTES else _decoded(facts)
            del facts
            answer = await self._sender.post(webhook.body, webhook.headers)
        self._tally.relayed(answer.verdict)
        if answer.final:
            return Done()
        about = {"request_id": piece.request_id, "attempt": piece.attempts, "reason": str(answer)}
        seconds = pause(piece.attempts, RELAY_RETRIES, answer.after, self._luck())
        if seconds is None:
            self._tally.relayed(GIVEN_UP)
            _log.error("webhook_given_up", **about)
            return Done()
        self._lines.warning("webhook_not_relayed", **about, retry_in=round(seconds))
        return Later(seconds)

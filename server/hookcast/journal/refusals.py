"""Refused webhooks, counted until they are written: anybody can send one, so a flood is one line with a count."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from hookcast.jobs import Clock
from hookcast.logs import secret_in
from hookcast.logs.texts import HIDDEN

APART = 20
"""Refusals of one code within an hour that are told apart; the others of the hour are counted together."""
MAX_VALUE = 200
_SHOWN = (
    "content-length",
    "content-type",
    "user-agent",
    "x-fal-webhook-request-id",
    "x-fal-webhook-timestamp",
    "x-fal-webhook-user-id",
    "x-forwarded-for",
)


class Refusal(Struct, frozen=True):
    """Equal refusals within an hour: `count` of them, from `first_at` to `last_at`.

    `request_id` is what the sender claimed, `client` its address; both are None where different ones are counted
    together. `headers` has no credentials.
    """

    id: str
    code: str
    reason: str
    request_id: str | None
    client: str | None
    headers: dict[str, str]
    first_at: datetime
    last_at: datetime
    count: int = 1

    def again(self, now: datetime, count: int = 1) -> "Refusal":
        """Return the refusal with further ones, up to `now`."""
        return replace(self, last_at=max(self.last_at, now), count=self.count + count)


class Refusals:
    """The refusals of one node that are not written yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hour = ""
        self._apart: dict[str, set[str]] = {}
        self._found: dict[str, Refusal] = {}

    def add(
        self,
        code: str,
        reason: str,
        request_id: str | None,
        client: str | None,
        headers: Iterable[tuple[bytes, bytes]],
    ) -> None:
        """Count a refused webhook."""
        now = self._clock()
        hour = f"{now:%Y-%m-%dT%H}"
        if hour != self._hour:
            self._hour, self._apart = hour, {}
        name = _name(hour, code, request_id, client)
        apart = self._apart.setdefault(code, set())
        if name not in apart and len(apart) >= APART:
            name, request_id, client, headers = _name(hour, code, None, None), None, None, ()
        else:
            apart.add(name)
        known = self._found.get(name)
        if known is not None:
            self._found[name] = known.again(now)
        else:
            shown = shown_headers(headers)
            self._found[name] = Refusal(name, code, reason[:MAX_VALUE], request_id, client, shown, now, now)

    def take(self) -> list[Refusal]:
        """Return what has been counted, and forget it."""
        found, self._found = list(self._found.values()), {}
        return found

    def put_back(self, refusals: Iterable[Refusal]) -> None:
        """Count refusals again that could not be written."""
        for refusal in refusals:
            newer = self._found.get(refusal.id)
            self._found[refusal.id] = refusal if newer is None else refusal.again(newer.last_at, newer.count)


def shown_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers that help to find the sender, cut to `MAX_VALUE` characters; hidden with a secret."""
    named = ((name.decode("latin-1").lower(), value) for name, value in headers)
    found = {name: value.decode("latin-1") for name, value in named if name in _SHOWN}
    return {name: HIDDEN if secret_in(value) else value[:MAX_VALUE] for name, value in found.items()}


def _name(hour: str, code: str, request_id: str | None, client: str | None) -> str:
    """Return an id that is the same on every node: these share the line of the hour."""
    text = "\0".join((hour, code, request_id or "", client or ""))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]

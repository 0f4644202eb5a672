"""Drops what a backend was to be sent, on a node that has none: the durable work `tell`, `retell` and `relay`.

The setting that names the backend was taken away. Another node may still have it, and it may come back, so only what
nobody has taken for as long as a backend is tried is dropped.
"""

import msgspec

from hookcast.consequences import Kind, Telling
from hookcast.forward.schedule import RETRIES
from hookcast.journal import Event, Notebook
from hookcast.logs import Throttle
from hookcast.store import Piece
from hookcast.upkeep.worker import Done, Handler, Outcome

OVERDUE_SECONDS = sum(RETRIES)  # about three days
MAX_AT_ONCE = 64
MAX_SECONDS = 60.0


class Untold:
    """Drops what is sent by nobody."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._lines = Throttle()

    def events(self) -> dict[str, Handler]:
        """Return the handlers where HOOKCAST_FORWARD_URL is not set."""
        retold = Handler(self._drop_retelling, MAX_AT_ONCE, MAX_SECONDS, OVERDUE_SECONDS)
        return {Kind.TELL: Handler(self._drop_event, MAX_AT_ONCE, MAX_SECONDS, OVERDUE_SECONDS), Kind.RETELL: retold}

    def webhooks(self) -> dict[str, Handler]:
        """Return the handler where HOOKCAST_FORWARD_FAL is not set."""
        return {Kind.RELAY: Handler(self._drop_webhook, MAX_AT_ONCE, MAX_SECONDS, OVERDUE_SECONDS, light=True)}

    async def _drop_event(self, piece: Piece) -> Outcome:
        event = msgspec.json.decode(piece.facts, type=Telling)
        self._notebook.note(piece.request_id, Event.GIVEN_UP, type=event.type.value, attempts=event.tries)
        return self._dropped(piece, "HOOKCAST_FORWARD_URL")

    async def _drop_retelling(self, piece: Piece) -> Outcome:
        return self._dropped(piece, "HOOKCAST_FORWARD_URL")

    async def _drop_webhook(self, piece: Piece) -> Outcome:
        return self._dropped(piece, "HOOKCAST_FORWARD_FAL")

    def _dropped(self, piece: Piece, setting: str) -> Outcome:
        reason = f"{setting} is not set"
        self._lines.warning("work_dropped", kind=piece.kind, request_id=piece.request_id or None, reason=reason)
        return Done()

"""The push engine of one node: the shared parts of its streams, their timer and their tasks."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from hookcast.auth import Gate
from hookcast.buckets import Buckets
from hookcast.bus import Bus
from hookcast.journal import Event, Notebook
from hookcast.push.admission import Admission
from hookcast.push.hub import Hub
from hookcast.push.shared import Recent, Turns
from hookcast.push.subscriptions import Jobs, Subscriptions
from hookcast.push.wheel import Wheel
from hookcast.tasks import Tasks, beside
from hookcast.wire import Show, encode

WHEEL_STEPS = 100  # per heartbeat: the timer's resolution
# Rate limit of names per WebSocket: a page may subscribe to its 1,000 jobs one by one, and then to all of them again.
NAMES_AT_ONCE = 2000
NAMES_PER_SECOND = 100


class Engine:
    """The shared parts of a node's streams; `show` makes the states, `notebook` takes what watchers do and get.

    Use it in one event loop.
    """

    def __init__(  # noqa: PLR0917
        self,
        admission: Admission,
        hub: Hub,
        store: Jobs,
        bus: Bus,
        gate: Gate,
        notebook: Notebook,
        *,
        show: Show = encode,
    ) -> None:
        self.show = show
        self.admission = admission
        self.hub = hub
        self.recent = Recent(show)
        self.turns = Turns()  # to read a large state for a stream
        self.answers = Turns()  # to read one for a list or a poll, and to send it
        self.notebook = notebook
        self.subscriptions = Subscriptions(hub, store, bus, admission, self.recent, notebook)
        hub.on_end = lambda state, count: notebook.note(state.request_id, Event.PUSHED, to=count)
        self.gate = gate
        self.limits = admission.limits
        self.clock = admission.clock
        self.wheel = Wheel(self.clock, self.limits.heartbeat / WHEEL_STEPS)
        self.asking = Buckets(self.clock, rate=NAMES_PER_SECOND, burst=NAMES_AT_ONCE)
        self.tasks = Tasks()

    def note_refused(self, request_ids: Iterable[str], transport: str, code: str, origin: str | None = None) -> None:
        """Note in the journals of these jobs that a client could not watch them, and why."""
        for request_id in request_ids:
            about = f"{transport} {code} {origin or ''}"
            self.notebook.note_once(
                request_id, Event.WATCH_REFUSED, about, transport=transport, code=code, origin=origin
            )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the timer and own the streams' tasks; on exit, drain the streams and wait for the tasks."""
        async with self.tasks.owned(), beside(self.wheel.run()):
            try:
                yield
            finally:
                self.admission.drain()  # the server may not have done so

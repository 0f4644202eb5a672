"""The metrics at `GET /metrics`, in Prometheus' text format (prometheus.io, "Exposition formats").

Components count streams and states as plain integers, which are read only on a scrape: a push costs nothing more. With
`--workers` each process keeps its values in files of a shared folder, and the process that is scraped adds them up
(prometheus_client documentation, "Multiprocess Mode"); the integers are then also read once a second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from hookcast import __version__
from hookcast.bus import Bus
from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher, Source
from hookcast.errors import Draining, TooManyStreams, TooManyStreamsOfClient
from hookcast.forward.sending import Verdict
from hookcast.jobs import JobStatus
from hookcast.media.failures import Reason, TryAgain
from hookcast.media.turns import Turns
from hookcast.push import Engine
from hookcast.upkeep.teller import GIVEN_UP

READ_SECONDS = 1.0
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COPY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
KINDS = ("sse", "websocket", "long_poll")
REFUSALS = (Draining.code, TooManyStreams.code, TooManyStreamsOfClient.code)
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nothing here reads


class Metrics:
    """The metrics of one process. `folder` is shared by all processes of the node, None when there is only one.

    `webhooks` and `submits` are the answers that are counted. Each series exists from the start, at 0: `increase()` and
    `rate()` do not see the step of a series that begins at 1.
    """

    def __init__(
        self, folder: Path | None = None, *, webhooks: Iterable[str] = (), submits: Iterable[str] = ()
    ) -> None:
        own = self._registry = CollectorRegistry()
        self._folder = folder
        self._read: dict[tuple[Counter, tuple[str, ...]], int] = {}
        if folder is None:
            ProcessCollector(registry=own)
        self._build = _gauge(own, "build_info", "1, with the version.", "version", mode="livemax")
        self._bus = _gauge(own, "bus_up", "1 if the bus delivers and takes states, else 0.", mode="livemin")
        self._streams = _gauge(own, "streams", "Open streams.", "transport")
        self._limit = _gauge(own, "streams_limit", "The limit of open streams.")
        self._topics = _gauge(own, "topics", "Watched jobs and feeds, each counted once per process.")
        self._opened = _counter(own, "streams_opened", "Streams opened.", "transport")
        self._refused = _counter(own, "streams_refused", "Streams refused by a limit.", "code")
        self._slow = _counter(own, "streams_slow", "Streams closed as slow readers.")
        self._pushed = _counter(own, "states_pushed", "States pushed to streams.")
        self._resynced = _counter(
            own, "states_resynced", "States that the bus did not deliver, read from the database."
        )
        self._ended = _counter(own, "jobs_ended", "Ended jobs, by status and source.", "status", "source")
        self._webhooks = _counter(own, "webhooks", "Webhooks, by response.", "answer")
        self._submits = _counter(own, "submits", "Submits, by response.", "answer")
        self._seconds = Histogram(
            "hookcast_webhook_seconds", "Seconds from a webhook's head to its response.", registry=own, buckets=BUCKETS
        )
        self._kept = _counter(own, "media_bytes", "Bytes of files copied to the storage.")
        self._lost = _counter(own, "media_failures", "Attempts to copy a file that failed, by reason.", "reason")
        self._copies = _gauge(own, "media_copies", "Copies of files that run, or wait for their turn.", "state")
        self._copy_seconds = Histogram(
            "hookcast_media_copy_seconds", "Seconds of a copy of a file.", registry=own, buckets=COPY_BUCKETS
        )
        self._told = _counter(own, "told", "Attempts to tell the backend, by answer.", "answer")
        self._relayed = _counter(own, "relayed", "Attempts to pass fal's webhooks on, by answer.", "answer")
        self._work = _gauge(own, "work_waiting", "Durable work of all nodes, by kind.", "kind", mode="livemostrecent")
        self._build.labels(__version__).set(1)
        self._begin_all(webhooks, submits)

    def _begin_all(self, webhooks: Iterable[str], submits: Iterable[str]) -> None:
        self._begin(self._opened, KINDS)
        self._begin(self._refused, REFUSALS)
        self._begin(self._webhooks, ("accepted", "duplicate", *webhooks))
        self._begin(self._submits, ("accepted", *submits))
        self._begin(self._told, (*Verdict, GIVEN_UP))
        self._begin(self._relayed, (*Verdict, GIVEN_UP))
        self._begin(self._lost, (*Reason, *TryAgain))
        for state in ("running", "waiting"):
            self._copies.labels(state)
        for kind in Kind:
            self._work.labels(kind)
        for status in JobStatus:
            if status.terminal:
                self._begin(self._ended, get_args(Source), status)

    def webhook(self, answer: str, seconds: float) -> None:
        """Count a webhook and record its duration; `answer` is `accepted`, `duplicate`, or the code of the problem."""
        self._webhooks.labels(answer).inc()
        self._seconds.observe(seconds)

    def submit(self, answer: str) -> None:
        """Count a submit; `answer` is `accepted`, or the code of the problem."""
        self._submits.labels(answer).inc()

    def copied(self, count: int, seconds: float) -> None:
        """Count a file of `count` bytes that was copied to the storage, and record the duration."""
        self._kept.inc(count)
        self._copy_seconds.observe(seconds)

    def not_copied(self, reason: str) -> None:
        """Count an attempt to copy a file that failed."""
        self._lost.labels(reason).inc()

    def told(self, answer: str) -> None:
        """Count an attempt to tell the backend; `answer` is a Verdict, or GIVEN_UP."""
        self._told.labels(answer).inc()

    def relayed(self, answer: str) -> None:
        """Count an attempt to pass a webhook of fal on, likewise."""
        self._relayed.labels(answer).inc()

    def work(self, waiting: Mapping[Kind, float]) -> None:
        """Set how much work of each kind is not done; NaN where it is not known."""
        for kind, count in waiting.items():
            self._work.labels(kind).set(count)

    def read(self, engine: Engine, dispatcher: Dispatcher, bus: Bus, turns: Turns | None = None) -> None:
        """Copy the components' counts into the metrics. `turns` are those of copies, where files are kept."""
        if turns is not None:
            self._copies.labels("running").set(turns.running)
            self._copies.labels("waiting").set(turns.waiting)
        counts = engine.admission.counts
        self._bus.set(bus.condition == "ok")
        self._limit.set(engine.limits.max_streams)
        self._topics.set(len(engine.hub))
        for kind in KINDS:
            self._streams.labels(kind).set(counts.opened[kind] - counts.closed[kind])
            self._follow(self._opened, counts.opened[kind], kind)
        for code, count in counts.refused.items():
            self._follow(self._refused, count, code)
        for (status, source), count in dispatcher.ended.items():
            self._follow(self._ended, count, status, source)
        self._follow(self._slow, counts.slow)
        self._follow(self._pushed, engine.hub.pushed)
        self._follow(self._resynced, engine.subscriptions.resynced)

    async def run(
        self,
        engine: Engine,
        dispatcher: Dispatcher,
        bus: Bus,
        turns: Turns | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read once a second until cancelled, so that any process can be scraped for all."""
        while True:
            self.read(engine, dispatcher, bus, turns)
            await sleep(READ_SECONDS)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return all values and their media type: OpenMetrics for clients that accept it."""
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=str(self._folder))  # type: ignore[no-untyped-call]
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type

    def _begin(self, counter: Counter, values: Iterable[str], *labels: str) -> None:
        """Begin the series of each of these values of the last label at 0."""
        for value in values:
            counter.labels(*labels, value)

    def _follow(self, counter: Counter, total: int, *labels: str) -> None:
        known = self._read.get((counter, labels), 0)
        self._read[counter, labels] = total
        (counter.labels(*labels) if labels else counter).inc(total - known)


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(f"hookcast_{name}", text, labels, registry=registry)


def _gauge(registry: CollectorRegistry, name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
    return Gauge(f"hookcast_{name}", text, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]

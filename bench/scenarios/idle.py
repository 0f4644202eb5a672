"""Streams that are open and mostly silent: their memory, and the latency of few states among them."""

from bench.catalog import Peer
from bench.kernel import Caches, caches, queued_kib, stream_kib
from bench.load import Figures, loading
from bench.process import Server, running
from bench.scenarios.common import RATE, after_leaving, latency, lost, warm
from bench.scenarios.size import Size


def idle(peer: Peer, size: Size) -> Figures:
    """Measure one job per stream: memory, memory left after disconnecting, and latency at 1,000 states/s."""
    with running(peer) as server:
        warm(server)
        start, before = server.pss_kib(), caches()
        states = RATE * size.trickle_seconds
        with loading(server, "--hold", *_idle(size, size.idle_streams), "--states", states, "--rate", RATE) as load:
            load.phase("connected")
            full, kernel = server.pss_kib(), _kernel(server, before, size.idle_streams)
            load.go_on()
            pushed = load.phase("published")
            load.go_on()
            load.phase("left")
        left = [after_leaving(server)]
        for _ in range(size.idle_rounds - 1):
            _fill(server, size, topics=size.idle_streams)
            left.append(after_leaving(server))
    return {
        "kib": (full - start) / size.idle_streams,
        **kernel,
        "left_percent": (left[0] - start) / (full - start) * 100,
        **({"leak_percent": (left[-1] - left[0]) / (full - start) * 100} if size.idle_rounds > 1 else {}),
        **latency(pushed),
        "server_cpu": pushed["server_cpu"],
        "lost": lost(pushed),
    }


def shared(peer: Peer, size: Size) -> Figures:
    """Measure memory per stream when all streams watch the same job."""
    with running(peer) as server:
        warm(server)
        start = server.pss_kib()
        full = _fill(server, size, topics=1)
        left = after_leaving(server)
    return {
        "kib": (full - start) / size.idle_streams,
        "left_percent": (left - start) / (full - start) * 100,
    }


def _kernel(server: Server, before: Caches, streams: int) -> Figures:
    """Return the kernel's memory of a stream; nothing unless root measures."""
    if not before:
        return {}
    return {"kernel_kib": stream_kib(before, caches(), streams), "queued_kib": queued_kib(server.port) / streams}


def _idle(size: Size, topics: int) -> list[str | int]:
    return ["--streams", size.idle_streams, "--topics", topics]


def _fill(server: Server, size: Size, topics: int) -> int:
    """Return the server's memory with all idle streams open, then disconnect them."""
    with loading(server, "--name", "again", "--hold", *_idle(size, topics), "--states", 0) as load:
        load.phase("connected")
        full = server.pss_kib()
        load.go_on()
        load.phase("left")
    return full

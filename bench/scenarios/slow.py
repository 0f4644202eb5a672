"""Slow readers: what each costs, and what the other streams feel of them."""

from bench.catalog import Peer
from bench.load import Figures, loading
from bench.process import running
from bench.scenarios.common import RATE, lost, warm
from bench.scenarios.size import Size

TOPICS_PER_HOT = 10


def slow(peer: Peer, size: Size) -> Figures:
    """Measure slow readers: their memory, and their effect on the latency of the other streams.

    Half of the states go to the topics of the slow readers. Two control runs: without them, and with the same streams
    reading: the same number of pushes, so that only the slow reading differs.
    """
    number = size.slow_streams
    without = _mixed(peer, size, size.control_seconds)
    reading = _mixed(peer, size, size.control_seconds, "--slow", number, "--slow-reads")
    pushed = _mixed(peer, size, size.slow_seconds, "--slow", number)
    return {
        "kib": pushed["growth_kib"] / number,
        "p99_ms": pushed["p99_us"] / 1000,
        "without_p99_ms": without["p99_us"] / 1000,
        "reading_p99_ms": reading["p99_us"] / 1000,
        "closed": pushed["closed"],
        "unpublished_percent": 100 - pushed["states"] / (RATE * size.slow_seconds) * 100,
        "server_cpu": pushed["server_cpu"],
        "lost": lost(pushed),
    }


def _mixed(peer: Peer, size: Size, seconds: int, *more: str | int) -> Figures:
    """Publish to reading streams and to those in `more`.

    Closed streams are counted from the server's sockets: a slow reader sees no EOF behind its unread data.
    """
    topics = size.slow_topics * TOPICS_PER_HOT
    arguments = f"--hold --streams {size.slow_streams} --topics {topics} --hot {size.slow_topics}".split()
    arguments += f"--states {RATE * seconds} --rate {RATE} --seconds {seconds + 1} --timeout {seconds + 60}".split()
    with running(peer) as server:
        warm(server)
        with loading(server, *arguments, *more) as load:
            load.phase("connected")
            sizes, sockets = [server.rss_kib()], server.sockets()
            load.go_on()
            pushed = load.phase("published", meanwhile=lambda: sizes.append(server.rss_kib()))
            closed = max(sockets - server.sockets(), 0)
    return {**pushed, "growth_kib": max(sizes) - sizes[0], "closed": closed}

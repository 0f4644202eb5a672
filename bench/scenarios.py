"""The scenarios. Each takes a peer and a size, and returns figures by name."""

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.catalog import Peer
from bench.load import Figures, loading, publish
from bench.process import BenchError, Server, running
from bench.services import POSTGRESQL, SQLITE
from bench.storm import storm, storm_webhooks
from bench.webhooks import polls, webhooks
from bench.workers import workers

LEAVE_SECONDS = 15
OWN_SOCKETS = 10  # the most that any peer holds for itself


@dataclass(frozen=True, slots=True)
class Size:
    """Scale of the scenarios."""

    fanout_streams: int = 5000
    fanout_seconds: float = 3
    burst_streams: int = 1000
    idle_streams: int = 10000
    idle_rounds: int = 2
    trickle_seconds: int = 5
    slow_streams: int = 1000
    slow_topics: int = 10
    slow_seconds: int = 60
    control_seconds: int = 10
    storm_streams: int = 10000
    webhooks: int = 10000
    poll_seconds: float = 2
    brief: bool = False  # skip what takes long


FULL = Size()
QUICK = Size(
    fanout_streams=2000,
    fanout_seconds=0.5,
    burst_streams=200,
    idle_streams=1000,
    idle_rounds=1,
    trickle_seconds=1,
    slow_streams=100,
    slow_topics=1,
    slow_seconds=5,
    control_seconds=1,
    storm_streams=1000,
    webhooks=1000,
    poll_seconds=0.5,
    brief=True,
)
SLOW_RUNS = 2
SLOW_PEERS = ("nchan-sse", "sse-starlette")
IDLE_RUNS_OF_PEERS = 2
RATE = 1000  # states a second, wherever publishing is paced
TOPICS_PER_HOT = 10
BURST = 40  # jobs that end at once


def fanout(peer: Peer, size: Size) -> Figures:
    """Measure fan-out: all streams watch one job; the rates of opening streams and delivering states."""
    with running(peer) as server:
        _warm(server)
        opened, pushed = publish(
            server, "--streams", size.fanout_streams, "--states", 100000, "--warm", 2, "--seconds", size.fanout_seconds
        )
    return {
        "connects": opened["per_second"],
        "connect_us": opened["server_us"],
        "deliveries": pushed["per_second"],
        "cpu_us": pushed["server_us"],
        "server_cpu": pushed["server_cpu"],
        "load_cpu": pushed["load_cpu"],
        **_latency(pushed),
        "lost": _lost(pushed),
    }


def burst(peer: Peer, size: Size) -> Figures:
    """Measure bursts: each stream watches the same jobs, and all of them change at once."""
    assert peer.several is not None
    shape = ["--name", "b", "--streams", size.burst_streams, "--topics", BURST, "--burst", BURST]
    shape += ["--states", 1000 * BURST, "--warm", 2 * BURST, "--seconds", size.fanout_seconds]
    with running(peer) as server:
        _warm(server)
        _, pushed = publish(server, *shape, *peer.several([f"b-{number:05}" for number in range(BURST)]))
    return {
        "deliveries": pushed["per_second"],
        "cpu_us": pushed["server_us"],
        "server_cpu": pushed["server_cpu"],
        "load_cpu": pushed["load_cpu"],
        **_latency(pushed),
        "lost": _lost(pushed),
    }


def first(peer: Peer, size: Size) -> Figures:
    """Measure the rate of opening streams of a known job: each reads its first state from the store."""
    with running(peer) as server:
        _warm(server)
        _register(server, "t-00000")
        with loading(server, "--streams", size.fanout_streams, "--states", 0, "--first-state") as load:
            opened = load.phase("connected")
            load.phase("left")
    return {"connects": opened["per_second"], "connect_us": opened["server_us"]}


def idle(peer: Peer, size: Size) -> Figures:
    """Measure one job per stream: memory, memory left after disconnecting, and latency at 1,000 states/s."""
    with running(peer) as server:
        _warm(server)
        start = server.pss_kib()
        states = RATE * size.trickle_seconds
        with loading(server, "--hold", *_idle(size, size.idle_streams), "--states", states, "--rate", RATE) as load:
            load.phase("connected")
            full = server.pss_kib()
            load.go_on()
            pushed = load.phase("published")
            load.go_on()
            load.phase("left")
        left = [_after_leaving(server)]
        for _ in range(size.idle_rounds - 1):
            _fill(server, size, topics=size.idle_streams)
            left.append(_after_leaving(server))
    return {
        "kib": (full - start) / size.idle_streams,
        "left_percent": (left[0] - start) / (full - start) * 100,
        **({"leak_percent": (left[-1] - left[0]) / (full - start) * 100} if size.idle_rounds > 1 else {}),
        **_latency(pushed),
        "server_cpu": pushed["server_cpu"],
        "lost": _lost(pushed),
    }


def shared(peer: Peer, size: Size) -> Figures:
    """Measure memory per stream when all streams watch the same job."""
    with running(peer) as server:
        _warm(server)
        start = server.pss_kib()
        full = _fill(server, size, topics=1)
        left = _after_leaving(server)
    return {
        "kib": (full - start) / size.idle_streams,
        "left_percent": (left - start) / (full - start) * 100,
    }


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
        "lost": _lost(pushed),
    }


SCENARIOS: dict[str, Callable[[Peer, Size], Figures]] = {
    "fanout": fanout,
    "burst": burst,
    "first": first,
    "storm": lambda peer, size: storm(peer, size.storm_streams),
    "storm-open": lambda peer, size: storm(peer, size.storm_streams, authorised=False),
    "storm-webhooks": lambda peer, size: storm_webhooks(peer, size.storm_streams),
    "idle": idle,
    "shared": shared,
    "slow": slow,
    "webhooks": lambda peer, size: webhooks(peer, size.webhooks, SQLITE),
    "webhooks-pg": lambda peer, size: webhooks(peer, size.webhooks, POSTGRESQL),
    "polls": lambda peer, size: polls(peer, size.poll_seconds, SQLITE),
    "polls-pg": lambda peer, size: polls(peer, size.poll_seconds, POSTGRESQL),
    "workers": lambda peer, size: workers(peer, size.webhooks),
}


def wanted(scenario: str, peer: Peer, size: Size, run: int) -> bool:
    """Return whether this run of the scenario applies to this peer: some scenarios are for Hookcast alone."""
    ours = peer.is_hookcast()
    match scenario:
        case "webhooks" | "webhooks-pg" | "polls" | "polls-pg":
            return (ours and not peer.websocket) or peer.name == "fastapi"
        case "workers":
            return ours and not peer.websocket
        case "storm" | "storm-open":
            return peer.first_state
        case "burst":
            return peer.several is not None
        case _ if peer.name == "fastapi":
            return False
        case "slow":
            return _wanted_slow(peer, size, run)
        case _:
            return ours or scenario == "fanout" or (scenario == "idle" and run < IDLE_RUNS_OF_PEERS)


def _wanted_slow(peer: Peer, size: Size, run: int) -> bool:
    """Limit the slow scenario: it takes minutes, and the floor has no slow-reader handling."""
    if size.brief:
        return peer.name == "hookcast-sse"
    return (run < SLOW_RUNS and peer.is_hookcast()) or (run == 0 and peer.name in SLOW_PEERS)


def _mixed(peer: Peer, size: Size, seconds: int, *more: str | int) -> Figures:
    """Publish to reading streams and to those in `more`.

    Closed streams are counted from the server's sockets: a slow reader sees no EOF behind its unread data.
    """
    topics = size.slow_topics * TOPICS_PER_HOT
    arguments = f"--hold --streams {size.slow_streams} --topics {topics} --hot {size.slow_topics}".split()
    arguments += f"--states {RATE * seconds} --rate {RATE} --seconds {seconds + 1} --timeout {seconds + 60}".split()
    with running(peer) as server:
        _warm(server)
        with loading(server, *arguments, *more) as load:
            load.phase("connected")
            sizes, sockets = [server.rss_kib()], server.sockets()
            load.go_on()
            pushed = load.phase("published", meanwhile=lambda: sizes.append(server.rss_kib()))
            closed = max(sockets - server.sockets(), 0)
    return {**pushed, "growth_kib": max(sizes) - sizes[0], "closed": closed}


def _register(server: Server, name: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("PUT", f"/api/fal-jobs/{name}", b"{}", {"Content-Type": "application/json"})
    if (status := connection.getresponse().status) not in {200, 201}:
        raise BenchError(f"registering a job is answered {status}")
    connection.close()


def _warm(server: Server) -> None:
    """Open a few streams first, so that imports and first allocations are not measured."""
    publish(server, "--name", "warm", "--streams", 50, "--states", 20)
    _after_leaving(server)


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


def _after_leaving(server: Server) -> int:
    """Return the server's memory once it has closed the disconnected streams and is idle."""
    until = time.monotonic() + LEAVE_SECONDS
    before = -1.0
    while server.sockets() > OWN_SOCKETS or server.cpu_seconds() > before:
        if time.monotonic() > until:
            raise BenchError(f"{server.sockets()} sockets are open after all streams have left")
        before = server.cpu_seconds()
        time.sleep(0.1)
    return server.pss_kib()


def _latency(pushed: Figures) -> Figures:
    return {"p50_ms": pushed["p50_us"] / 1000, "p99_ms": pushed["p99_us"] / 1000}


def _lost(pushed: Figures) -> float:
    return pushed["expected"] - pushed["deliveries"] + pushed["broken"] + pushed["disordered"]

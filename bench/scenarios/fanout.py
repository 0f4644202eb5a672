"""Many streams that watch the same jobs: fan-out of one state, bursts of many, and opening."""

from bench.catalog import Peer
from bench.load import Figures, loading, publish
from bench.process import running
from bench.scenarios.common import latency, lost, register, warm
from bench.scenarios.size import Size

BURST = 40  # jobs of a stream that change at once


def fanout(peer: Peer, size: Size) -> Figures:
    """Measure fan-out: all streams watch one job; the rates of opening streams and delivering states."""
    with running(peer) as server:
        warm(server)
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
        **latency(pushed),
        "lost": lost(pushed),
    }


def burst(peer: Peer, size: Size) -> Figures:
    """Measure bursts: each stream watches the same jobs, and all of them change at once."""
    assert peer.several is not None
    shape: list[str | float] = ["--name", "b", "--streams", size.burst_streams, "--topics", BURST, "--burst", BURST]
    shape += ["--states", 1000 * BURST, "--warm", 2 * BURST, "--seconds", size.fanout_seconds]
    with running(peer) as server:
        warm(server)
        _, pushed = publish(server, *shape, *peer.several([f"b-{number:05}" for number in range(BURST)]))
    return {
        "deliveries": pushed["per_second"],
        "cpu_us": pushed["server_us"],
        "server_cpu": pushed["server_cpu"],
        "load_cpu": pushed["load_cpu"],
        **latency(pushed),
        "lost": lost(pushed),
    }


def first(peer: Peer, size: Size) -> Figures:
    """Measure the rate of opening streams of a known job: each reads its first state from the store."""
    with running(peer) as server:
        warm(server)
        register(server, "t-00000")
        with loading(server, "--streams", size.fanout_streams, "--states", 0, "--first-state") as load:
            opened = load.phase("connected")
            load.phase("left")
    return {"connects": opened["per_second"], "connect_us": opened["server_us"]}

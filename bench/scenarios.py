"""What is measured. Each scenario takes a peer and a size, and answers figures by name."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.catalog import Peer
from bench.load import Figures, publish
from bench.process import running


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    fanout_streams: int = 5000
    fanout_seconds: float = 3.0


FULL = Size()
QUICK = Size(fanout_seconds=1.0)


def fanout(peer: Peer, size: Size) -> Figures:
    """Everybody watches one job: how fast do streams open, and states arrive."""
    with running(peer) as server:
        publish(server, "--name", "warm", "--streams", 50, "--states", 20)
        opened, pushed = publish(
            server, "--streams", size.fanout_streams, "--states", 100000, "--warm", 2, "--seconds", size.fanout_seconds
        )
    lost = pushed["expected"] - pushed["deliveries"] + pushed["broken"] + pushed["disordered"]
    return {
        "connects": opened["per_second"],
        "connect_us": opened["server_us"],
        "deliveries": pushed["per_second"],
        "cpu_us": pushed["server_us"],
        "server_cpu": pushed["server_cpu"],
        "load_cpu": pushed["load_cpu"],
        "p50_ms": pushed["p50_us"] / 1000,
        "p99_ms": pushed["p99_us"] / 1000,
        "lost": lost,
    }


SCENARIOS: dict[str, Callable[[Peer, Size], Figures]] = {"fanout": fanout}

"""How large the scenarios are."""

from dataclasses import dataclass


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
    crowd_streams: int = 20000
    crowd_idle_seconds: float = 32  # of which a stream is pinged every 15
    nodes_jobs: int = 1500
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
    crowd_streams=4000,
    crowd_idle_seconds=5,
    nodes_jobs=200,
    webhooks=1000,
    poll_seconds=0.5,
    brief=True,
)

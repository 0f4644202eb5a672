"""The scenarios: what each measures of a peer, and which peers it is for, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.catalog import Peer
from bench.load import Figures
from bench.scenarios.crowd import crowd
from bench.scenarios.fanout import burst, fanout, first
from bench.scenarios.idle import idle, shared
from bench.scenarios.latency import latency
from bench.scenarios.nodes import nodes
from bench.scenarios.size import Size
from bench.scenarios.slow import slow
from bench.scenarios.storm import storm, storm_webhooks
from bench.scenarios.webhooks import polls, webhooks
from bench.scenarios.workers import workers
from bench.services import POSTGRESQL, SQLITE

SLOW_RUNS, IDLE_RUNS_OF_PEERS, NODES_RUNS = 2, 2, 3  # these take long
SLOW_PEERS = ("nchan-sse", "sse-starlette")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`wanted` says whether a run (0, 1, …) of it is for a peer."""

    measure: Callable[[Peer, Size], Figures]
    wanted: Callable[[Peer, Size, int], bool]


def _pushes(peer: Peer, _size: Size, _run: int) -> bool:
    return peer.name != "fastapi"


def _first_states(peer: Peer, _size: Size, _run: int) -> bool:
    return peer.first_state


def _several(peer: Peer, _size: Size, _run: int) -> bool:
    return peer.several is not None


def _hookcast(peer: Peer, _size: Size, _run: int) -> bool:
    return peer.is_hookcast()


def _hookcast_once(peer: Peer, _size: Size, _run: int) -> bool:
    """Choose one of the two rows where streams do not matter."""
    return peer.is_hookcast() and not peer.websocket


def _nodes(peer: Peer, _size: Size, run: int) -> bool:
    return peer.name == "hookcast-sse" and run < NODES_RUNS


def _webhooks(peer: Peer, size: Size, run: int) -> bool:
    return peer.name == "fastapi" or _hookcast_once(peer, size, run)


def _idle(peer: Peer, _size: Size, run: int) -> bool:
    return peer.is_hookcast() or (run < IDLE_RUNS_OF_PEERS and peer.name != "fastapi")


def _slow(peer: Peer, size: Size, run: int) -> bool:
    """Leave the floor out, which disconnects slow readers."""
    if size.brief:
        return peer.name == "hookcast-sse"
    return (run < SLOW_RUNS and peer.is_hookcast()) or (run == 0 and peer.name in SLOW_PEERS)


SCENARIOS = {
    "fanout": Scenario(fanout, _pushes),
    "burst": Scenario(burst, _several),
    "first": Scenario(first, _hookcast),
    "storm": Scenario(lambda peer, size: storm(peer, size.storm_streams), _first_states),
    "storm-open": Scenario(lambda peer, size: storm(peer, size.storm_streams, authorised=False), _first_states),
    "storm-webhooks": Scenario(lambda peer, size: storm_webhooks(peer, size.storm_streams), _hookcast),
    "idle": Scenario(idle, _idle),
    "shared": Scenario(shared, _hookcast),
    "slow": Scenario(slow, _slow),
    "latency": Scenario(lambda peer, _: latency(peer), _hookcast_once),
    "webhooks": Scenario(lambda peer, size: webhooks(peer, size.webhooks, SQLITE), _webhooks),
    "webhooks-pg": Scenario(lambda peer, size: webhooks(peer, size.webhooks, POSTGRESQL), _webhooks),
    "polls": Scenario(lambda peer, size: polls(peer, size.poll_seconds, SQLITE), _webhooks),
    "polls-pg": Scenario(lambda peer, size: polls(peer, size.poll_seconds, POSTGRESQL), _webhooks),
    "crowd": Scenario(lambda peer, size: crowd(peer, size.crowd_streams, size.crowd_idle_seconds), _hookcast_once),
    "nodes": Scenario(lambda peer, size: nodes(peer, size.nodes_jobs), _nodes),
    "nodes-without-resync": Scenario(lambda peer, size: nodes(peer, size.nodes_jobs, resync=False), _nodes),
    "nodes-cluster": Scenario(lambda peer, size: nodes(peer, size.nodes_jobs, cluster=True), _nodes),
    "workers": Scenario(lambda peer, size: workers(peer, size.webhooks), _hookcast_once),
}

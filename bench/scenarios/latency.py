"""Webhooks one after the other: the time from each one to the state that its watcher reads."""

import asyncio
import statistics

from bench.catalog import Peer, as_served
from bench.latency import one_run
from bench.load import Figures
from bench.process import running
from bench.services import serving_keys

GAP_SECONDS = 0.01
RUN_SECONDS = 30


def latency(peer: Peer) -> Figures:
    """Measure 100 webhooks for as many watched jobs, each sent after the response to the one before."""
    with serving_keys() as keys, running(as_served(peer), (), {"HOOKCAST_FAL_JWKS_URL": keys}) as server:
        asyncio.run(_timed(server.port, "warm"))
        times = sorted(asyncio.run(_timed(server.port, "run")))
    return {"p50_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99) - 1], "max_ms": times[-1]}


async def _timed(port: int, name: str) -> list[float]:
    async with asyncio.timeout(RUN_SECONDS):
        return await one_run(port, name, GAP_SECONDS)

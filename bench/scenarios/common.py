"""What several scenarios do: warm a server up, wait until it is idle again, read the load generator's figures."""

import http.client
import time

from bench.load import Figures, publish
from bench.process import BenchError, Server

RATE = 1000  # states a second, wherever publishing is paced
LEAVE_SECONDS = 15
OWN_SOCKETS = 10  # the most that any peer holds for itself


def warm(server: Server) -> None:
    """Open a few streams first, so that imports and first allocations are not measured."""
    publish(server, "--name", "warm", "--streams", 50, "--states", 20)
    after_leaving(server)


def register(server: Server, name: str) -> None:
    """Register one job."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("PUT", f"/api/fal-jobs/{name}", b"{}", {"Content-Type": "application/json"})
    if (status := connection.getresponse().status) not in {200, 201}:
        raise BenchError(f"registering a job is answered {status}")
    connection.close()


def after_leaving(server: Server) -> int:
    """Return the server's memory once it has closed the disconnected streams and is idle."""
    until = time.monotonic() + LEAVE_SECONDS
    before = -1.0
    while server.sockets() > OWN_SOCKETS or server.cpu_seconds() > before:
        if time.monotonic() > until:
            raise BenchError(f"{server.sockets()} sockets are open after all streams have left")
        before = server.cpu_seconds()
        time.sleep(0.1)
    return server.pss_kib()


def latency(pushed: Figures) -> Figures:
    """Return the latencies of the states."""
    return {"p50_ms": pushed["p50_us"] / 1000, "p99_ms": pushed["p99_us"] / 1000}


def lost(pushed: Figures) -> float:
    """Return how many states did not arrive, or not in order."""
    return pushed["expected"] - pushed["deliveries"] + pushed["broken"] + pushed["disordered"]

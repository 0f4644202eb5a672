"""The opening storm: a node has restarted, and all its watchers come back at once.

Each stream has a job, a token and an address of its own, and is open when it has read its job's first state.
"""

import contextlib
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jwt

from bench.catalog import Peer
from bench.load import Figures, Load, loading
from bench.process import Server, running
from bench.requests import read_moments, request, send, sending
from bench.services import serving_keys
from bench.signing import webhook

UNDER_WAY = 1000  # handshakes at a time: a storm, but within every peer's backlog
WARM = 100
WEBHOOK_RATE = 200  # a second
QUIET_SECONDS = 2  # of webhooks before the storm, and the longest that one may take to arrive
LONGEST_SECONDS = 20  # of the storm
OPEN_SECONDS = 300
TOKEN_SECONDS = 3600
SECRET, KEY = secrets.token_hex(32), secrets.token_hex(32)
STATE = (
    '{"requestId":"%s","status":"pending","version":1,"endpointId":null,"progress":{"phase":"queued",'
    '"queuePosition":null,"logs":[],"startedAt":null,"expectedSeconds":null},"result":null,"error":null,'
    '"errorDetail":null,"owner":null,"group":null,"metadata":{},"createdAt":"2026-01-01T00:00:00.000Z",'
    '"updatedAt":"2026-01-01T00:00:00.000Z","completedAt":null}'
)  # what Hookcast's streams begin with


def storm(peer: Peer, streams: int, *, authorised: bool = True) -> Figures:
    """Measure how fast `streams` streams open, with a token each if the peer checks one and `authorised`."""
    tokens = authorised and peer.authorises
    with running(peer, (), access(tokens=tokens)) as server:
        for name, number in (("warm", WARM), ("storm", streams)):
            seed(server, name, number)
            opened = _open(server, name, number, tokens=tokens)
    return _figures(opened)


def storm_webhooks(peer: Peer, streams: int) -> Figures:
    """Measure webhook to pushed state before and during a storm of `streams` authorised streams."""
    hooks, tokens = WEBHOOK_RATE * (QUIET_SECONDS + LONGEST_SECONDS), peer.authorises
    messages = [webhook(job) for job in names_of("hook", hooks)]
    with (
        tempfile.TemporaryDirectory(prefix="hookcast-bench-") as folder,
        serving_keys() as keys,
        running(peer, (), {"HOOKCAST_FAL_JWKS_URL": keys, **access(tokens=tokens)}) as server,
    ):
        for name, number in (("warm", WARM), ("storm", streams), ("hook", hooks)):
            seed(server, name, number)
        _open(server, "warm", WARM, tokens=tokens)
        due, seen = Path(folder) / "due", Path(folder) / "seen"
        with streams_of(server, "hook", hooks, "--hold", "--moments", str(seen), tokens=tokens) as watching:
            watching.phase("connected")
            with sending(server, messages, "--rate", WEBHOOK_RATE, moments=due) as sender:
                time.sleep(QUIET_SECONDS)
                opened = _open(server, "storm", streams, tokens=tokens)
                sender.stop()
                sender.figures()
            time.sleep(QUIET_SECONDS)
            watching.go_on()
            watching.phase("left")
        return {**_figures(opened), **_webhooks(due, seen, opened)}


def _webhooks(due: Path, seen: Path, opened: Figures) -> Figures:
    """Return the latencies of the webhooks that were due before and during the storm."""
    times = [
        (moment, (read - moment) / 1e6)
        for moment, read in zip(read_moments(due), read_moments(seen), strict=True)
        if moment  # it was sent
    ]
    quiet = sorted(took for moment, took in times if moment < opened["begun"])
    during = sorted(took for moment, took in times if opened["begun"] <= moment <= opened["ended"])
    return {
        "quiet_p99_ms": quiet[int(len(quiet) * 0.99)],
        "webhooks": len(during),
        "webhook_p50_ms": during[len(during) // 2],
        "webhook_p99_ms": during[int(len(during) * 0.99)],
        "lost": sum(took < 0 for _, took in times),
    }


def _figures(opened: Figures) -> Figures:
    return {
        "opened": opened["per_second"],
        "cpu_us": opened["server_us"],
        "p50_ms": opened["p50_us"] / 1000,
        "p99_ms": opened["p99_us"] / 1000,
        "load_cpu": opened["load_cpu"],
    }


def _open(server: Server, name: str, streams: int, *, tokens: bool) -> Figures:
    """Open the streams, disconnect them, and return the figures of opening."""
    with streams_of(server, name, streams, tokens=tokens) as load:
        opened = load.phase("connected")
        load.phase("left")
    return opened


@contextlib.contextmanager
def streams_of(server: Server, name: str, number: int, *options: str | int, tokens: bool) -> Iterator[Load]:
    """Open a stream for each job that `seed` has made, from an address of its own, in the block."""
    shape: list[str | int] = ["--name", name, "--streams", number, "--topics", number, "--states", 0, "--first-state"]
    shape += ["--opening", UNDER_WAY, "--per-address", 1, "--timeout", OPEN_SECONDS, *options]
    with tempfile.NamedTemporaryFile("w", prefix="hookcast-bench-") as file:
        if tokens:
            file.writelines(f"?token={_token(job)}\n" for job in names_of(name, number))
            file.flush()
            shape += ["--tokens", file.name]
        with loading(server, *shape) as load:
            yield load


def seed(server: Server, name: str, number: int, *, connections: int = 32, rate: float = 0) -> None:
    """Give each job a first state of the same size: Hookcast's jobs are registered, the other peers' published.

    `rate` is jobs a second; 0 = each connection sends its next one after the answer.
    """
    names = names_of(name, number)
    if server.peer.is_hookcast():
        headers = f"Authorization: Bearer {KEY}\r\n"
        requests = [request("PUT", f"/api/fal-jobs/{job}", b"{}", headers) for job in names]
    else:
        requests = [request("POST", f"/publish/{job}?version=1", (STATE % job).encode()) for job in names]
    send(server, requests, "--expect", "20", "--connections", connections, "--rate", rate)


def names_of(name: str, number: int) -> list[str]:
    """Return the jobs' names, as the load generator makes them."""
    return [f"{name}-{index:05}" for index in range(number)]


def access(*, tokens: bool) -> dict[str, str]:
    """Return the variables of a server that checks tokens, or of an open one."""
    return {"HOOKCAST_API_KEYS": KEY, "HOOKCAST_TOKEN_SECRET": SECRET} if tokens else {}


def _token(job: str) -> str:
    return jwt.encode({"jobs": [job], "exp": int(time.time()) + TOKEN_SECONDS}, SECRET, algorithm="HS256")

"""Signed webhooks: verified, committed, and pushed to the subscriber of each job; and polls of jobs' states.

The subscribers are the load generator's (`load.c`), the webhooks are signed here and sent by `requests.c`. A webhook's
latency is from the time it is due until its job's subscriber has read the state.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.catalog import Peer
from bench.load import Figures, Load, loading
from bench.process import Server, busy_seconds, running
from bench.requests import read_moments, request, send
from bench.services import Database, databases, serving_keys
from bench.signing import webhook

NORMAL_RATE, HIGH_RATE = 500, 3000  # webhooks a second
POLLED_JOBS = 1000
ARRIVE_SECONDS = 10
REGISTERED = ("--expect", "20")


class Wave(NamedTuple):
    """A number of webhooks at `rate` a second; 0 is as fast as they are answered."""

    name: str
    rate: int
    number: int


def webhooks(peer: Peer, jobs: int, kind: str) -> Figures:
    """Measure webhooks for `jobs` watched jobs: the maximum rate, and the latency at fixed rates."""
    with databases(kind) as database, serving(peer, database) as server:
        rounds(server, database, "warm", 100, [Wave("warm", NORMAL_RATE, 100)])
        return rounds(server, database, "w", jobs, _waves(peer, jobs))


def polls(peer: Peer, seconds: float, kind: str) -> Figures:
    """Measure the rate of polls: of full responses (200) and of "not modified" (304)."""
    names = [f"polled-{number:05}" for number in range(POLLED_JOBS)]
    with databases(kind) as database, serving(peer, database) as server:
        register(server, names)
        found: Figures = {}
        for status, headers in (("200", ""), ("304", 'If-None-Match: "1"\r\n')):
            requests = [request("GET", f"/api/fal-jobs/{name}", headers=headers) for name in names]
            send(server, requests, "--expect", status)
            cpu = server.cpu_seconds()
            figures = send(server, requests, "--expect", status, "--seconds", seconds)
            used = server.cpu_seconds() - cpu
            found |= {
                f"{status}_per_second": figures["per_second"],
                f"{status}_us": used / figures["requests"] * 1e6,
                f"{status}_p99_ms": figures["p99_us"] / 1000,
            }
    return found


@contextmanager
def serving(
    peer: Peer, database: Database, cores: Sequence[int] = (), variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run the peer on that database, with the signing keys' JWKS."""
    with serving_keys() as keys:
        wanted = {"HOOKCAST_FAL_JWKS_URL": keys, **(variables or {})}
        if database.url:
            wanted["HOOKCAST_DATABASE_URL"] = database.url
        with running(peer, cores, wanted) as server:
            yield server


def register(server: Server, names: Sequence[str]) -> None:
    """Register the jobs, as submitting does."""
    send(server, [request("PUT", f"/api/fal-jobs/{name}", b"{}") for name in names], *REGISTERED)


def rounds(server: Server, database: Database, name: str, jobs: int, waves: Sequence[Wave]) -> Figures:
    """Watch `jobs` jobs, one subscriber each. Each wave of webhooks ends some; its name prefixes its figures."""
    names = [f"{name}-{number:05}" for number in range(sum(wave.number for wave in waves))]
    register(server, names)
    found: Figures = {"lost": 0}
    with tempfile.TemporaryDirectory(prefix="hookcast-bench-") as folder:
        seen, sent = Path(folder) / "seen", [Path(folder) / wave.name for wave in waves]
        options = ("--hold", "--states", 0, "--name", name, "--streams", jobs, "--topics", jobs, "--moments", str(seen))
        with loading(server, *options) as load:
            load.phase("connected")
            for wave, file in zip(waves, sent, strict=True):
                messages = [webhook(names.pop(0)) for _ in range(wave.number)]
                found |= _wave(server, database, load, messages, wave=wave, moments=file)
            load.go_on()
            load.phase("left")
        arrived = iter(read_moments(seen))
        for wave, file in zip(waves, sent, strict=True):
            times = sorted((next(arrived) - due) / 1e6 for due in read_moments(file))
            found["lost"] += sum(took < 0 for took in times)
            found[f"{wave.name}_p50_ms"] = times[len(times) // 2]
            found[f"{wave.name}_p99_ms"] = times[int(len(times) * 0.99)]
    return found


def _wave(
    server: Server, database: Database, load: Load, messages: Sequence[bytes], *, wave: Wave, moments: Path
) -> Figures:
    open_before, busy = load.open_files(), busy_seconds()
    cpu, database_cpu = server.cpu_seconds(), database.cpu_seconds()
    figures = send(server, messages, "--rate", wave.rate, moments=moments)
    busy = busy_seconds() - busy
    load.wait_until_open(open_before - wave.number, ARRIVE_SECONDS)
    cpu, database_cpu = server.cpu_seconds() - cpu, database.cpu_seconds() - database_cpu
    return {
        f"{wave.name}_per_second": figures["per_second"],
        f"{wave.name}_us": cpu / wave.number * 1e6,
        f"{wave.name}_database_us": database_cpu / wave.number * 1e6,
        f"{wave.name}_cpu": cpu / figures["seconds"],
        f"{wave.name}_cores": busy / figures["seconds"],  # of the whole machine
    }


def _waves(peer: Peer, jobs: int) -> list[Wave]:
    if not peer.is_hookcast():  # the high rate is far beyond the other peers
        return [Wave("most", 0, jobs * 15 // 100), Wave("normal", NORMAL_RATE, jobs // 10)]
    rates = [Wave("high", HIGH_RATE, jobs * 45 // 100), Wave("normal", NORMAL_RATE, jobs * 15 // 100)]
    return [Wave("most", 0, jobs * 40 // 100), *rates]

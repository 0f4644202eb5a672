"""Count the instructions that the server needs, and compare them with another commit's.

    python -m bench.instructions                      # this checkout alone
    python -m bench.instructions --against main       # fails if something takes 5 % more than there

Valgrind's callgrind counts each instruction of the server's process, so a busy machine hardly changes the counts. What
it changes is how often the server's clocks strike meanwhile, which only ever adds: so the servers of both commits run
side by side and are measured in turn, and the least of several counts is taken.
"""

import argparse
import contextlib
import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.catalog import ROOT, Peer, hookcast
from bench.checkouts import checkouts
from bench.load import Load, loading
from bench.process import BenchError, Server, running
from bench.requests import send
from bench.scenarios.storm import KEY, access, names_of, seed, streams_of
from bench.services import serving_keys
from bench.signing import webhook

LIMIT_PERCENT = 5.0
START_SECONDS, CONTROL_SECONDS, LOAD_SECONDS = 900, 120, 600  # Valgrind is 50 times as slow as the processor
NEVER = "604800"  # seconds
RUNS = 3
STREAMS, STATES = 100, 40  # and as many webhooks; states for each stream
UNDER_WAY, SENDERS = 50, 8  # streams that open at a time, and webhooks
CALLGRIND = "valgrind --quiet --tool=callgrind --instr-atstart=no --trace-children=yes --callgrind-out-file=count.%p"
Counts = dict[str, float]


def main() -> None:
    """Count, print one line for each figure, and end with 1 if one has grown beyond the limit."""
    arguments = _arguments()
    with checkouts([arguments.against] if arguments.against else []) as peers:
        head, *others = counted([ROOT, *dict.fromkeys(peer.tree for peer in peers if peer.tree)])
    base = others[0] if others else {}
    print("\n".join(lines(head, base)))
    if arguments.json:
        arguments.json.write_text(json.dumps({"head": head, "base": base}, indent=1) + "\n")
    if grown := grown_beyond(head, base, arguments.limit):
        sys.exit(f"More than {arguments.limit:g} % more instructions: {', '.join(grown)}")


def grown_beyond(head: Counts, base: Counts, percent: float) -> list[str]:
    """Return the names of the figures of `head` that are more than so many percent above those of `base`.

    A figure that only `head` has, such as a new one, has not grown.
    """
    return [name for name in head if name in base and head[name] > base[name] * (1 + percent / 100)]


def lines(head: Counts, base: Counts) -> list[str]:
    """Return a line for each figure: the instructions here and there, and the change in percent."""
    found = []
    for name, count in head.items():
        before = f"  {base[name]:12,.0f} before  {(count / base[name] - 1) * 100:+.1f} %" if name in base else ""
        found.append(f"{name:20} {count:12,.0f}{before}")
    return found


def least(counts: Iterable[Counts]) -> Counts:
    """Return the least count of each figure."""
    found = Counts()
    for count in counts:
        found |= {name: min(value, found.get(name, value)) for name, value in count.items()}
    return found


def counted(trees: Sequence[Path]) -> list[Counts]:
    """Return for each checkout the instructions of an opened stream, a pushed state, and a webhook with its push."""
    found: list[Counts] = [{} for _ in trees]
    for websocket in (False, True):
        with contextlib.ExitStack() as stack:
            peers = [hookcast("hookcast", "Hookcast", tree)[websocket] for tree in trees]
            servers = [stack.enter_context(_server(peer)) for peer in peers]
            for server in servers:
                _once(server, STREAMS, "warm")  # imports and first allocations
            for run in range(RUNS):
                for number, server in enumerate(servers):
                    found[number] = least([found[number], _once(server, STREAMS, f"run{run}")])
    return found


def _once(server: Server, number: int, name: str) -> Counts:
    kind = "WebSocket" if server.peer.websocket else "SSE"
    found = {
        f"opening, {kind}": _opening(server, f"{name}-o", number),
        f"push, {kind}": _pushing(server, f"{name}-p", number),
    }
    if not server.peer.websocket:  # these stay open when their jobs end, so that the end of the work cannot be seen
        found["webhook"] = _webhooks(server, f"{name}-w", number)
    return found


@contextlib.contextmanager
def _server(peer: Peer) -> Iterator[Server]:
    counted_peer = dataclasses.replace(peer, command=lambda place: [*CALLGRIND.split(), *peer.command(place)])
    with serving_keys() as keys:
        variables = {"HOOKCAST_FAL_JWKS_URL": keys, **access(tokens=peer.authorises)}
        variables |= {"PYTHONHASHSEED": "0", "HOOKCAST_KEEP_ALIVE_SECONDS": str(LOAD_SECONDS)}
        variables |= {"HOOKCAST_RESYNC_SECONDS": NEVER, "HOOKCAST_HEARTBEAT_SECONDS": NEVER}
        with running(counted_peer, (), variables, start_seconds=START_SECONDS) as server:
            _control(server, "--instr=on")  # not from the start on, which would take minutes
            _wait_until_it_verifies(server)
            yield server


def _wait_until_it_verifies(server: Server) -> None:
    """Send a webhook until it is taken, as fal does: the keys are not there yet, and the store has a deadline."""
    until = time.monotonic() + START_SECONDS
    verifies = False
    while not verifies:
        try:
            verifies = bool(send(server, [webhook("early")]))
        except BenchError:
            if time.monotonic() > until:
                raise


def _opening(server: Server, name: str, number: int) -> float:
    """Count from the first connect() until the last stream has its first state."""
    seed(server, name, number, connections=SENDERS)
    _start(server)
    with _streams(server, name, number) as load:
        load.phase("connected")
        total = _stop(server)
        _leave(load)
    return total / number


def _pushing(server: Server, name: str, number: int) -> float:
    """Count from the first POST of a state until its last reader has the last one; the POSTs are part of it."""
    shape = ("--hold", "--header", f"Authorization: Bearer {KEY}", "--timeout", LOAD_SECONDS)
    with loading(server, *shape, "--name", name, "--streams", number, "--states", STATES) as load:
        load.phase("connected")
        _start(server)
        load.go_on()
        load.phase("published")
        total = _stop(server)
        _leave(load)
    return total / (number * STATES)


def _webhooks(server: Server, name: str, number: int) -> float:
    """Count from the first webhook until the last watcher has read how its job ended."""
    seed(server, name, number, connections=SENDERS)
    with _streams(server, name, number) as load:
        load.phase("connected")
        messages, files = [webhook(job) for job in names_of(name, number)], load.open_files()
        _start(server)
        send(server, messages, "--connections", SENDERS, "--timeout", LOAD_SECONDS)
        load.wait_until_open(files - number, LOAD_SECONDS)
        total = _stop(server)
        _leave(load)
    return total / number


def _streams(server: Server, name: str, number: int) -> contextlib.AbstractContextManager[Load]:
    """Open a stream of each job."""
    options = ("--opening", UNDER_WAY, "--timeout", LOAD_SECONDS, "--hold")
    return streams_of(server, name, number, *options, tokens=server.peer.authorises)


def _leave(load: Load) -> None:
    load.go_on()
    load.phase("left")


def _start(server: Server) -> None:
    """Count from zero."""
    _control(server, "--zero")


def _stop(server: Server) -> int:
    """Return the instructions since `_start`, of all threads."""
    _control(server, "--dump")
    newest = max(server.folder.glob(f"count.{server.pid}.*"), key=lambda path: int(path.suffix[1:]))
    found = re.search(r"^totals: (\d+)", newest.read_text(), re.MULTILINE)
    if not found:
        raise BenchError(f"{newest.name} has no totals")
    return int(found[1])


def _control(server: Server, what: str) -> None:
    command = ["callgrind_control", what, str(server.pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CONTROL_SECONDS, check=False)
    if "OK." not in done.stdout:
        raise BenchError(f"callgrind_control {what}: {done.stdout}{done.stderr}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.instructions", description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="compare with this commit, or folder with a checkout")
    parser.add_argument("--limit", type=float, default=LIMIT_PERCENT, help="percent [default: 5]")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()

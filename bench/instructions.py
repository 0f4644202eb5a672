"""Count the instructions that the server needs, and compare them with another commit's.

    python -m bench.instructions                      # this checkout alone
    python -m bench.instructions --against main       # fails if something takes 5 % more than there

Valgrind's callgrind counts each instruction of the server's process, so a busy machine changes only the time it takes.
One request is under way at a time: how many meet in one turn of the event loop would depend on the machine.
"""

import argparse
import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
IDLE_SECONDS = 15
NEVER = "604800"  # seconds
STREAMS = 100  # of each kind, and webhooks
STATES = 40  # pushed to each stream
WARM = 20
CALLGRIND = "valgrind --quiet --tool=callgrind --instr-atstart=no --trace-children=yes --callgrind-out-file=count.%p"
Counts = dict[str, float]


def main() -> None:
    """Count, print one line for each figure, and end with 1 if one has grown beyond the limit."""
    arguments = _arguments()
    head, base = counted(ROOT), Counts()
    if arguments.against:
        with checkouts([arguments.against]) as peers:
            base = counted(peers[0].tree or ROOT)
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


def counted(tree: Path) -> Counts:
    """Return the instructions of opening a stream, of a state pushed to it, and of a webhook with its push."""
    found = Counts()
    sse, websocket = hookcast("hookcast", "Hookcast", tree)
    for peer in (sse, websocket):
        kind = "WebSocket" if peer.websocket else "SSE"
        with _server(peer) as server:
            counter = _Counter(server)
            _once(counter, WARM, "warm")  # imports and first allocations
            counter.learn_idle()
            found |= {f"{what}, {kind}": count for what, count in _once(counter, STREAMS, "counted").items()}
    return found


class _Counter:
    """Counts the instructions of a server beyond those that it takes while nothing happens: time must not count."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._idle = 0.0  # instructions a second
        self._started = 0.0

    def learn_idle(self) -> None:
        """Measure what the server takes while nothing happens."""
        self._idle = 0.0
        self.start()
        time.sleep(IDLE_SECONDS)
        self._idle = self.stop() / (time.monotonic() - self._started)

    def start(self) -> None:
        """Count from zero."""
        _control(self.server, "--zero")
        self._started = time.monotonic()

    def stop(self) -> float:
        """Return the instructions since `start`, of all threads."""
        seconds = time.monotonic() - self._started
        _control(self.server, "--dump")
        dumps = self.server.folder.glob(f"count.{self.server.pid}.*")
        newest = max(dumps, key=lambda path: int(path.suffix[1:]))
        found = re.search(r"^totals: (\d+)", newest.read_text(), re.MULTILINE)
        if not found:
            raise BenchError(f"{newest.name} has no totals")
        return int(found[1]) - self._idle * seconds


def _once(counter: _Counter, number: int, name: str) -> Counts:
    found = {
        "opening": _opening(counter, f"{name}-o", number),
        "push": _pushing(counter, f"{name}-p", number),
    }
    if not counter.server.peer.websocket:  # these stay open when their jobs end, so the end of the work cannot be seen
        found["webhook"] = _webhooks(counter, f"{name}-w", number)
    return found


@contextmanager
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


def _opening(counter: _Counter, name: str, number: int) -> float:
    """Count from the first connect() until the last stream has its first state."""
    seed(counter.server, name, number, connections=1)
    counter.start()
    with _streams(counter.server, name, number) as load:
        load.phase("connected")
        total = counter.stop()
        _leave(load)
    return total / number


def _pushing(counter: _Counter, name: str, number: int) -> float:
    """Count from the first POST of a state until its last reader has the last one; the POSTs are part of it."""
    shape = ("--hold", "--header", f"Authorization: Bearer {KEY}", "--timeout", LOAD_SECONDS)
    with loading(counter.server, *shape, "--name", name, "--streams", number, "--states", STATES) as load:
        load.phase("connected")
        counter.start()
        load.go_on()
        load.phase("published")
        total = counter.stop()
        _leave(load)
    return total / (number * STATES)


def _webhooks(counter: _Counter, name: str, number: int) -> float:
    """Count from the first webhook until the last watcher has read how its job ended."""
    seed(counter.server, name, number, connections=1)
    with _streams(counter.server, name, number) as load:
        load.phase("connected")
        messages, files = [webhook(job) for job in names_of(name, number)], load.open_files()
        counter.start()
        send(counter.server, messages, "--connections", 1, "--timeout", LOAD_SECONDS)
        load.wait_until_open(files - number, LOAD_SECONDS)
        total = counter.stop()
        _leave(load)
    return total / number


def _streams(server: Server, name: str, number: int) -> AbstractContextManager[Load]:
    """Open a stream of each job, one after the other."""
    options = ("--opening", 1, "--timeout", LOAD_SECONDS, "--hold")
    return streams_of(server, name, number, *options, tokens=server.peer.authorises)


def _leave(load: Load) -> None:
    load.go_on()
    load.phase("left")


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

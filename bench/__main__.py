"""Benchmark Hookcast and its peers side by side: see bench/README.md.

Progress goes to stderr, the tables to stdout. Ctrl-C ends every server and prints the results so far.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.catalog import CATALOG, TOOLS, Peer, chosen
from bench.checkouts import checkouts
from bench.origin import origin
from bench.process import BenchError, busy_seconds, go_first, own_seconds, stay_beside
from bench.report.cells import short
from bench.report.documents import page, write
from bench.results import KEPT, Results
from bench.scenarios import SCENARIOS
from bench.scenarios.size import FULL, QUICK, Size


def main() -> None:
    """Run the benchmarks and print the tables."""
    arguments = _arguments()
    results = Results()
    if arguments.priority:
        go_first()
    stay_beside()
    busy, own = busy_seconds(), own_seconds()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    interrupted = False
    try:
        with checkouts(arguments.against) as others:
            _measure(arguments, [*arguments.only, *others], results)
    except KeyboardInterrupt:
        interrupted = True
    print("\n".join(page(results)))
    _say(f"Other processes of the machine used {_others(busy, own):.0f} s of CPU meanwhile.")
    if interrupted:
        sys.exit(130)
    if arguments.write:
        results.save(KEPT)
        write()


def _arguments() -> argparse.Namespace:
    names = [*SCENARIOS]
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, one run, two minutes: a look, no result")
    parser.add_argument("--only", type=_peers, default=list(CATALOG), metavar="PEERS", help="say hookcast,floor-sse")
    parser.add_argument("--scenario", type=_scenarios, default=names, help=f"some of {','.join(names)}")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="COMMIT",
        help="also measure this Hookcast: a commit, or a folder with a checkout; more than once for several",
    )
    parser.add_argument("--runs", type=int, help="of everything [default: 5, with --quick 1]")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results.json and the documents")
    parser.add_argument("--priority", action="store_true", help="run at nice -10 on a machine with others (needs root)")
    parser.add_argument("--json", type=Path, help="a file for the figures of every run; others in it stay")
    found = parser.parse_args()
    found.runs = found.runs or (1 if found.quick else 5)
    if found.write and found.quick:
        parser.error("--write is for the full form")
    if not (TOOLS / "load").exists():
        parser.error("the load generator is not built: run `make bench` once")
    return found


def _peers(names: str) -> list[Peer]:
    try:
        return chosen(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _scenarios(names: str) -> list[str]:
    if unknown := set(names.split(",")) - set(SCENARIOS):
        raise argparse.ArgumentTypeError(f"no scenario is called {', '.join(unknown)}")
    return names.split(",")


def _measure(arguments: argparse.Namespace, peers: Sequence[Peer], results: Results) -> None:
    """Measure run by run, and peer by peer within each, so that drift of the machine affects all peers alike."""
    size = QUICK if arguments.quick else FULL
    results.origin = origin(arguments.runs, quick=arguments.quick)
    start = time.monotonic()
    for run in range(arguments.runs):
        for scenario, peer in _plan(arguments.scenario, peers, size, run):
            where = f"{scenario} {peer.name}"
            try:
                figures = SCENARIOS[scenario].measure(peer, size)
            except (BenchError, OSError) as error:
                results.miss(scenario, peer.name, str(error))
                _say(f"{where}: not measured: {error}")
                continue
            results.add(scenario, peer.name, run, figures)
            if arguments.json:
                results.save(arguments.json)  # now, so that a measurement of hours that is ended loses little
            words = "  ".join(f"{name} {short(value)}" for name, value in figures.items())
            _say(f"{time.monotonic() - start:5.0f} s  run {run + 1}  {where:20} {words}")


def _plan(scenarios: Sequence[str], peers: Sequence[Peer], size: Size, run: int) -> Iterator[tuple[str, Peer]]:
    for scenario in scenarios:
        for peer in peers:
            if SCENARIOS[scenario].wanted(peer, size, run):
                yield scenario, peer


def _others(busy: float, own: float) -> float:
    return max((busy_seconds() - busy) - (own_seconds() - own), 0)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

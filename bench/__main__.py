"""Benchmark Hookcast and its peers side by side: see bench/README.md.

Progress goes to stderr, the table to stdout. Ctrl-C ends every server and prints the results so far.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import latency, report, table
from bench.catalog import CATALOG, TOOLS, Peer, chosen
from bench.checkouts import checkouts
from bench.process import BenchError, go_first, stay_beside
from bench.scenarios import FULL, QUICK, SCENARIOS, Size, wanted
from bench.table import Results
from bench.webhook_table import webhook_table

LATENCY = "latency"


def main() -> None:
    """Run the benchmarks and print the table."""
    arguments = _arguments()
    results = Results()
    if arguments.priority:
        go_first()
    stay_beside()
    busy, own = report.busy_seconds(), report.own_seconds()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    interrupted = False
    try:
        with checkouts(arguments.against) as others:
            arguments.only += others
            _measure(arguments, results)
    except KeyboardInterrupt:
        interrupted = True
    elsewhere = (report.busy_seconds() - busy) - (report.own_seconds() - own)
    lines = _page(arguments, results, elsewhere)
    print("\n".join(lines))
    if arguments.json:
        found = {f"{scenario} {peer}": runs for (scenario, peer), runs in results.figures.items()}
        arguments.json.write_text(json.dumps(found, indent=1))
    if interrupted:
        sys.exit(130)
    if arguments.write:
        report.write(lines)


def _arguments() -> argparse.Namespace:
    names = [*SCENARIOS, LATENCY]
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
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--priority", action="store_true", help="run at nice -10 on a machine with others (needs root)")
    parser.add_argument("--json", type=Path, help="a file for the figures of every run")
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
    if unknown := set(names.split(",")) - {*SCENARIOS, LATENCY}:
        raise argparse.ArgumentTypeError(f"no scenario is called {', '.join(unknown)}")
    return names.split(",")


def _measure(arguments: argparse.Namespace, results: Results) -> None:
    """Measure run by run, and peer by peer within each, so that drift of the machine affects all peers alike."""
    size = QUICK if arguments.quick else FULL
    start = time.monotonic()
    for run, scenario, peer in _plan(arguments, size):
        where = f"{scenario} {peer.name}"
        try:
            figures = SCENARIOS[scenario](peer, size)
        except (BenchError, OSError) as error:
            results.missing[where] = str(error)
            _say(f"{where}: not measured: {error}")
            continue
        results.add(scenario, peer, run, figures)
        words = "  ".join(f"{name} {table.short(value)}" for name, value in figures.items())
        _say(f"{time.monotonic() - start:5.0f} s  run {run + 1}  {where:20} {words}")
    if LATENCY in arguments.scenario and any(peer.is_hookcast() for peer in arguments.only):
        results.latency += asyncio.run(latency.main(arguments.runs))


def _plan(arguments: argparse.Namespace, size: Size) -> Iterator[tuple[int, str, Peer]]:
    for run in range(arguments.runs):
        for scenario in arguments.scenario:
            for peer in arguments.only:
                if scenario != LATENCY and wanted(scenario, peer, size, run):
                    yield run, scenario, peer


def _page(arguments: argparse.Namespace, results: Results, others: float) -> list[str]:
    lines = report.heading(arguments.runs, quick=arguments.quick)
    lines += [*table.main_table(results, arguments.only), ""]
    lines += [*webhook_table(results, arguments.only), ""]
    lines += table.ratio_lines(results)
    lines += table.warnings(results)
    return [*lines, f"- other processes of the machine used {max(others, 0):.0f} s of CPU meanwhile", ""]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

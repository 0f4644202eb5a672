"""Command line of the benchmark: `python -m bench`."""

import argparse
import signal
import sys

from bench.catalog import chosen
from bench.process import BenchError
from bench.scenarios import FULL, QUICK, SCENARIOS


def main() -> None:
    """Measure, and print as it goes."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only")
    parser.add_argument("--scenario")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for _run in range(arguments.runs or (1 if arguments.quick else 5)):
        for name in (arguments.scenario or ",".join(SCENARIOS)).split(","):
            for peer in chosen(arguments.only):
                try:
                    found = SCENARIOS[name](peer, QUICK if arguments.quick else FULL)
                    print(
                        f"{name} {peer.name:14}",
                        "  ".join(f"{key} {value:.6g}" for key, value in found.items()),
                        flush=True,
                    )
                except BenchError as error:
                    print(f"{name} {peer.name:14} not measured: {error}", flush=True)


if __name__ == "__main__":
    main()

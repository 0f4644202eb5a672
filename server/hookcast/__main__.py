"""`python -m hookcast`, and the `hookcast` command."""

import gc
import os
import sys


def main() -> None:
    """Run the command; Ctrl-C exits quietly even during the imports, which take half a second."""
    # The imports make 100,000 objects that stay; to look for garbage among them often would take a tenth of the start.
    gc.set_threshold(20_000)
    _open_streams()
    try:
        if sys.argv[1:2] == ["health"]:  # runs every few seconds: skip the slow imports
            from hookcast.cli.health import main as start  # noqa: PLC0415
        elif sys.argv[1:3] == ["serve", "--fd"]:  # of `--workers`: hold nothing of the command line
            from hookcast.cli.worker import main as start  # noqa: PLC0415
        else:
            from hookcast.cli.commands import main as start  # noqa: PLC0415

        start()
    except KeyboardInterrupt:
        sys.exit(130)


def _open_streams() -> None:
    """Open what the caller has closed of standard input, output and error; else a socket could get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole process


if __name__ == "__main__":
    main()

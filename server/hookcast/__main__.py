"""`python -m hookcast`, and the `hookcast` command."""

import gc
import os
import sys

_UNUSED = ("httpx._main", "mako.ext.pygmentplugin")  # httpx and Mako work without, as where pygments is missing


def main() -> None:
    """Run the command; Ctrl-C exits quietly even during the imports, which take half a second."""
    # The imports make 100,000 objects that stay; to look for garbage among them would take a tenth of the start.
    gc.set_threshold(200_000)
    _open_streams()
    try:
        if sys.argv[1:2] == ["health"]:  # runs every few seconds: skip the slow imports
            from hookcast.cli.health import main as start  # noqa: PLC0415
        else:
            _spare_rich()
            if sys.argv[1:3] == ["serve", "--fd"]:  # of `--workers`: hold nothing of the command line
                from hookcast.cli.worker import main as start  # noqa: PLC0415
            else:
                from hookcast.cli.commands import main as start  # noqa: PLC0415

        start()
    except KeyboardInterrupt:
        sys.exit(130)


def _spare_rich() -> None:
    """Keep libraries from loading rich and pygments for features that no command uses: 9 MiB in each server.

    The commands that print with rich still can, and Typer, which looks for it when it is imported, still finds it.
    """
    for name in _UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # "not installed"
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]
        import structlog  # noqa: F401, PLC0415 - it would load rich for tracebacks that show the values of variables

        del sys.modules["rich"]


def _open_streams() -> None:
    """Open what the caller has closed of standard input, output and error; else a socket could get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole process


if __name__ == "__main__":
    main()

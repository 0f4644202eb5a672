"""`python -m hookcast`, and the `hookcast` command."""

import sys


def main() -> None:
    """Run the command; Ctrl-C exits quietly even during the imports, which take a second."""
    try:
        if sys.argv[1:2] == ["health"]:  # runs every few seconds: skip the slow imports
            from hookcast.cli.health import main as start  # noqa: PLC0415
        else:
            from hookcast.cli.commands import main as start  # noqa: PLC0415

        start()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

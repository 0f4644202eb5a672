"""`python -m hookcast`, and the `hookcast` command."""

import sys


def main() -> None:
    """Start; Ctrl-C ends it quietly while the imports, which take a second, are still under way, too."""
    try:
        if sys.argv[1:2] == ["health"]:  # runs every few seconds, and does without those imports
            from hookcast.cli.health import main as start  # noqa: PLC0415
        else:
            from hookcast.cli.commands import main as start  # noqa: PLC0415

        start()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

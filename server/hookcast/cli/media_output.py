"""What `hookcast media` prints: lines for people on a terminal, lines of JSON elsewhere."""

import json
import sys
from collections import Counter
from typing import Any

from rich.console import Console
from rich.text import Text

from hookcast.cli.terminal import plain

MAX_LINES = 20  # of one kind, on a terminal


class Output:
    """Prints findings. `people` is True on a terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.people = sys.stdout.isatty()
        self._said: Counter[str] = Counter()

    def finding(self, kind: str, text: str, **facts: Any) -> None:
        """Print a finding: `text` for people, who see the first of each kind, the facts for programs."""
        self._said[kind] += 1
        if not self.people:
            self.facts(finding=kind, **facts)
        elif self._said[kind] <= MAX_LINES:
            self.line(kind, text, "yellow")

    def total(self, kind: str, text: str, style: str = "green") -> None:
        """Print a line for people."""
        if self.people:
            more = self._said[kind] - MAX_LINES
            self.line(kind, f"{text} ({more} more than shown)" if more > 0 else text, style)

    def line(self, kind: str, text: str, style: str) -> None:
        """Print a line for people."""
        self.console.print(Text.assemble((f"{kind:<9}", style), plain(text)), soft_wrap=True)

    def facts(self, **facts: Any) -> None:
        """Print a line for programs."""
        if not self.people:
            sys.stdout.write(json.dumps(facts) + "\n")
            sys.stdout.flush()


def size(count: int) -> str:
    """Format a number of bytes: `12 kB`, `3.4 GB`."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1000:.0f} kB"

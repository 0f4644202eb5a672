"""Other commits of Hookcast, as peers of this one in the same run."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.catalog import ROOT, Peer, hookcast
from bench.process import BenchError


@contextlib.contextmanager
def checkouts(names: Sequence[str]) -> Iterator[list[Peer]]:
    """Yield the rows of these commits, or folders with a checkout: `hookcast@NAME-sse` and `hookcast@NAME-ws`.

    They run with the packages that this one runs with, so that only Hookcast's own code differs. Raises BenchError.
    """
    with tempfile.TemporaryDirectory(prefix="hookcast-bench-") as folder:
        peers: list[Peer] = []
        for name in names:
            tree = Path(name)
            if not tree.is_dir():
                tree = Path(folder) / name.replace("/", "-")
                _extract(name, tree)
            peers += hookcast(f"hookcast@{tree.name}", f"Hookcast {tree.name}", tree.resolve())
        yield peers


def _extract(commit: str, tree: Path) -> None:
    tree.mkdir()
    found = subprocess.run(
        ["/usr/bin/git", "-C", str(ROOT), "archive", commit, "server", "bench"], capture_output=True, check=False
    )
    if found.returncode:
        raise BenchError(f"{commit} is neither a folder nor a commit: {found.stderr.decode().strip()}")
    subprocess.run(["/usr/bin/tar", "-x", "-C", str(tree)], input=found.stdout, check=True)

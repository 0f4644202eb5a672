"""The example projects that `make` built as their users would, each served by its framework's own server."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.commands import DEADLINE, clean_environment

BUILT = Path(__file__).parents[2] / ".make/projects"
_NEXT = ("next", "start", "-H")
_VITE = ("vite", "preview", "--strictPort", "--host")


@contextmanager
def serving(project: str, port: int, **environment: str) -> Iterator[str]:
    """Serve the project inside the block, and yield its URL."""
    name, *words = _NEXT if (BUILT / project / "next.config.ts").exists() else _VITE
    assert (BUILT / project / "built").exists(), "tests/projects/build"
    command = [f"node_modules/.bin/{name}", *words, "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=BUILT / project,
        env=clean_environment({"NEXT_TELEMETRY_DISABLED": "1", "NO_COLOR": "1", **environment}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("Ready" in line or "Local:" in line for line in process.stdout), f"{name} did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)

"""The example projects that `make` built as their users would, each served by its framework's own server."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.commands import DEADLINE, clean_environment

BUILT = Path(__file__).parents[2] / ".make/projects"
_NEXT = ("next", "start", "-H")
_VITE = ("vite", "preview", "--strictPort", "--host")
_READY = ("Ready", "Local:", "Listening on")


@contextmanager
def serving(project: str, port: int, **environment: str) -> Iterator[str]:
    """Serve the project inside the block, and yield its URL."""
    assert (BUILT / project / "built").exists(), "tests/projects/build"
    command = _command(BUILT / project, port)
    given = {"NEXT_TELEMETRY_DISABLED": "1", "NO_COLOR": "1", "HOST": "127.0.0.1", "PORT": str(port), **environment}
    process = subprocess.Popen(
        command,
        cwd=BUILT / project,
        env=clean_environment(given),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any(word in line for line in process.stdout for word in _READY), f"{command[0]} did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE)


def _command(folder: Path, port: int) -> list[str]:
    if (folder / "src/hooks.server.ts").exists():
        return ["node", "build"]  # SvelteKit's adapter for Node
    name, *words = _NEXT if (folder / "next.config.ts").exists() else _VITE
    return [f"node_modules/.bin/{name}", *words, "127.0.0.1", "--port", str(port)]

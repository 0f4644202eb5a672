"""The code of docs/adopt/, run against a Hookcast with API keys and an emulated fal."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from shutil import copyfile

from support.access import API_KEY, SECRET
from support.backends import PACKAGES, running_command
from support.commands import DEADLINE, clean_environment
from support.emulated import emulated_fal
from support.fal import FalDouble
from support.projects import BUILT, serving
from support.server import Node, running_node

SOURCES = Path(__file__).parents[1] / "projects/vite"
VITE_CONFIG = """
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({ plugins: [react()], preview: { proxy: { "/api": process.env.BACKEND } } });
"""


@asynccontextmanager
async def running_hookcast(folder: Path, *origins: str, speed: float = 10, **more: str) -> AsyncIterator[Node]:
    """Run a Hookcast with an API key, for pages of these origins, and with more settings."""
    settings = {
        "database_url": f"sqlite:///{folder / 'hookcast.db'}",
        "api_keys": API_KEY,
        "token_secret": SECRET,
        "allowed_origins": ",".join(origins),
        **more,
    }
    async with (
        emulated_fal(speed=speed) as emulator,
        running_node(FalDouble(), emulator=emulator, **settings) as node,
    ):
        yield node


@asynccontextmanager
async def running_node_script(folder: Path, name: str, hookcast: str) -> AsyncIterator[str]:
    """Run a script of a backend with Node; yield its address."""
    (folder / "node_modules").symlink_to(PACKAGES)
    async with running_command(folder, ("node", name), environment=backend_environment(hookcast)) as address:
        yield address


def backend_environment(hookcast: str) -> Mapping[str, str]:
    """What every backend of the guides reads."""
    return {"HOOKCAST_URL": hookcast, "HOOKCAST_API_KEY": API_KEY, "NODE_ENV": "production"}


@contextmanager
def built_app(folder: Path, port: int, backend: str, **environment: str) -> Iterator[str]:
    """Check the types of `src/` in the folder, build it with Vite, and serve it; `/api` is the backend's."""
    assert (BUILT / "vite/built").exists(), "tests/projects/build"
    for name in ("index.html", "tsconfig.json", "package.json"):
        copyfile(SOURCES / name, folder / name)
    (folder / "vite.config.ts").write_text(VITE_CONFIG)
    (folder / "node_modules").symlink_to(BUILT / "vite/node_modules")
    given = clean_environment({**environment, "PATH": os.environ["PATH"]})
    for command in (("tsc", "--skipLibCheck"), ("vite", "build", "--logLevel", "warn")):
        words = (str(folder / "node_modules/.bin" / command[0]), *command[1:])
        done = subprocess.run(
            words, cwd=folder, env=given, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "built").touch()
    with serving(str(folder), port, BACKEND=backend) as address:
        yield address

"""Where figures come from: the date, the commit, the machine, the versions."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bench.catalog import PEERS, ROOT
from bench.results import KEPT, Origin

PACKAGES = (
    "hookcast",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "starlette",
    "sse-starlette",
    "fastapi",
    "sqlalchemy",
    "asyncpg",
)
_KEPT = KEPT.relative_to(ROOT)
_MODULE = "github.com/centrifugal/centrifuge"


def origin(runs: int, *, quick: bool) -> Origin:
    """Return the origin of what is measured now."""
    return Origin(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=_commit(),
        machine=_machine(),
        versions=_versions(),
        form="quick" if quick else "full",
        runs=runs,
    )


def _commit() -> str:
    """Return the commit, with `-dirty` if what is measured or measures has changed since; the kept figures may have."""
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = _output("git", "-C", str(ROOT), "diff", "--name-only", "HEAD", "--", "server", "bench", f":!{_KEPT}")
    return commit if changed == "?" else f"{commit}-dirty"


def _machine() -> str:
    memory = int(_value("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    kernel = f"Linux {platform.release()} {platform.machine()}"
    return f"{_value('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, {memory:.0f} GiB, {system}, {kernel}"


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    found += [_output("/usr/sbin/nginx", "-v").replace("nginx version: nginx/", "nginx ")]
    found.append("nchan " + _output("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"))
    found.append("cc " + _output("cc", "-dumpfullversion"))
    found.append(
        "centrifuge " + _output("go", "-C", str(PEERS / "centrifuge"), "list", "-m", "-f", "{{.Version}}", _MODULE)
    )
    return ", ".join(found)


def _output(*command: str) -> str:
    """Return the first line of a command's output, or `?` when it is not installed."""
    if shutil.which(command[0]) is None:
        return "?"
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0] or "?"


def _value(path: str, name: str) -> str:
    """Return the value of the first line that starts with `name` in a `name: value` file."""
    found = [line.partition(":")[2].strip() for line in Path(path).read_text().splitlines() if line.startswith(name)]
    return found[0] if found else "?"

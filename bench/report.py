"""The environment of a measurement, and the page the results are written to."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bench.catalog import HERE

PAGE = HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bench:begin, written by `make bench ARGS=--write` -->", "<!-- bench:end -->"
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


def heading(runs: int, *, quick: bool) -> list[str]:
    """Return the lines with date, machine and versions."""
    form = "quick form, one look" if quick else "full form"
    each = f"{runs} run{'s' if runs > 1 else ''} a figure"
    return [
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, {form}, {each}. {_machine()}.",
        "",
        f"{_versions()}.",
        "",
    ]


def write(lines: list[str]) -> None:
    """Write the lines between the page's markers."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([f"{before}{BEGIN}", "", *lines, f"{END}{after}"]))


def busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _wait, interrupt, soft = fields[:7]
    return (user + nice + system + interrupt + soft) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Return the CPU seconds of this process and its reaped children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


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
    commit = _output("git", "-C", str(HERE), "describe", "--always", "--dirty")
    found += [f"commit {commit}", _output("/usr/sbin/nginx", "-v").replace("nginx version: nginx/", "nginx ")]
    found.append("nchan " + _output("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"))
    found.append("cc " + _output("cc", "-dumpfullversion"))
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

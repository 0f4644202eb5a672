"""The import contracts of pyproject.toml: each one refuses what it is there to refuse."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
PLANTED = {
    "A module imports only from layers below its own": ("hookcast/jobs", "hookcast.wire"),
    "Starlette only serves HTTP": ("hookcast/dispatcher", "starlette"),
    "Only serving/ knows uvicorn": ("hookcast/buckets", "uvicorn"),
    "Only what parses frames knows websockets": ("hookcast/push/messages", "websockets"),
    "Only code that sends HTTP requests knows httpx": ("hookcast/routes/jobs", "httpx"),
    "Only the store knows databases": ("hookcast/metrics", "sqlalchemy"),
    "Only the bus knows Redis": ("hookcast/serving/http", "redis"),
    "Only the command line knows Typer and Rich": ("hookcast/app", "typer"),
    "Only metrics knows Prometheus": ("hookcast/push/hub", "prometheus_client"),
    "Only auth reads tokens; fal's signatures, the emulator and the benchmark sign": ("hookcast/routes/tokens", "jwt"),
    "Only media's storage knows obstore": ("hookcast/upkeep/retention", "obstore"),
    "Copies of files know only what they copy": ("hookcast/media/copying", "hookcast.settings"),
    "The Python client needs nothing of the server": ("hookcast/client/api", "hookcast.settings"),
    "A health check loads nothing of the server": ("hookcast/cli/health", "httpx"),
    "The parent of workers needs nothing but the standard library": ("hookcast/supervisor/workers", "structlog"),
    "The benchmark imports downwards only": ("bench/catalog", "bench.process"),
    "No module imports itself by way of another": ("hookcast/serving/websocket", "hookcast.serving.http"),
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy in which every forbidden import is planted."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "server/hookcast", folder / "hookcast", ignore=shutil.ignore_patterns("static"))
    shutil.copytree(ROOT / "bench", folder / "bench")
    for module, imported in PLANTED.values():
        with (folder / f"{module}.py").open("a") as source:
            source.write(f"\nimport {imported}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120).stdout


def test_every_contract_is_tried() -> None:
    """A new one needs an import that it refuses."""
    assert [contract["name"] for contract in CONTRACTS] == list(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_import_is_refused(verdict: str, name: str) -> None:
    """By the contract that is there for it."""
    assert f"{name} BROKEN" in verdict
    module, imported = PLANTED[name]
    ends = f".{module.rpartition('/')[2]}", f".{imported.rpartition('.')[2]}"
    shown = [f"{module.replace('/', '.')} -> {imported}", " -> ".join(ends), " -> ".join(ends[::-1])]
    assert any(line in verdict for line in shown)  # of a circle, the linter names one of its imports

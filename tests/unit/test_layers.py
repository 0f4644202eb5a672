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
    "A module imports only from layers below its own": ("jobs", "hookcast.wire"),
    "Starlette only serves HTTP": ("dispatcher", "starlette"),
    "Only serving/ knows uvicorn": ("buckets", "uvicorn"),
    "Only what parses frames knows websockets": ("push/messages", "websockets"),
    "Only code that sends HTTP requests knows httpx": ("routes/jobs", "httpx"),
    "Only the store knows databases": ("metrics", "sqlalchemy"),
    "Only the bus knows Redis": ("serving/http", "redis"),
    "Only the command line knows Typer and Rich": ("app", "typer"),
    "Only metrics knows Prometheus": ("push/hub", "prometheus_client"),
    "Only auth reads tokens, only fal's signatures and the emulator sign": ("routes/tokens", "jwt"),
    "Only media's storage knows obstore": ("upkeep/retention", "obstore"),
    "Copies of files know only what they copy": ("media/copying", "hookcast.settings"),
    "The Python client needs nothing of the server": ("client/api", "hookcast.settings"),
    "A health check loads nothing of the server": ("cli/health", "httpx"),
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a copy in which every forbidden import is planted."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "server/hookcast", folder / "hookcast", ignore=shutil.ignore_patterns("static"))
    for module, imported in PLANTED.values():
        with (folder / f"hookcast/{module}.py").open("a") as source:
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
    assert f"hookcast.{module.replace('/', '.')} -> {imported}" in verdict

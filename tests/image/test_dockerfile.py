"""What the Dockerfile says, and what of the working copy it gets to see."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.image import ROOT, Buildah

pytestmark = pytest.mark.timeout(900)

DOCKERFILE = (ROOT / "Dockerfile").read_text()
EVERYTHING = "FROM scratch\nCOPY . /context/\n"
SECRETS = [
    *(".env", "web/.env", "web/.env.local", "server/.env", "server/hookcast/.env.production"),
    *("hookcast.db", "hookcast-dev.db-wal", "server/hookcast.db", "server/hookcast/hookcast.db-shm"),
    *(".git/config", "web/node_modules/x.js", "server/hookcast/__pycache__/x.pyc", ".venv/bin/python", "notes.txt"),
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of the repository as somebody works in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in (*listed.split("\0")[:-1], *SECRETS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in SECRETS:
            path.write_text("secret-0")
        elif (ROOT / name).is_file():
            shutil.copy(ROOT / name, path)
    return tmp_path


def test_each_base_is_pinned_and_can_be_replaced() -> None:
    """By the digest in its ARG's default."""
    bases = re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", DOCKERFILE, re.MULTILINE)
    pinned = dict(
        re.findall(r"^ARG (\w+)=(docker\.io/library/[\w:.-]+@sha256:[0-9a-f]{64})$", DOCKERFILE, re.MULTILINE)
    )
    assert len(bases) == 3
    assert {base.removeprefix("$") for base in bases} == set(pinned)


def test_nothing_in_it_is_of_one_platform() -> None:
    """The page, which is the same for all, is built on the builder's own."""
    assert re.search(r"^FROM --platform=\$BUILDPLATFORM \S+ AS page$", DOCKERFILE, re.MULTILINE)
    instructions = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    assert re.findall(r"linux/|amd64|arm64|x86_64|aarch64", instructions) == []


def test_secrets_and_databases_do_not_reach_the_builder(buildah: Buildah, context: Path) -> None:
    (context / "Dockerfile").write_text(EVERYTHING)
    seen = buildah.build(context, "localhost/context")
    names = {str(path.relative_to(seen.root / "context")) for path in seen.files()}
    assert {"pyproject.toml", "uv.lock", ".ci/uv.txt", "web/.npmrc", "server/hookcast/cli/commands.py"} <= names
    assert names & set(SECRETS) == set()
    taken = " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)).split()
    assert {name.partition("/")[0] for name in names} == {name.partition("/")[0] for name in taken}

"""Stand-ins for the base images, built without a registry: Debian by debootstrap, with this machine's Node.

They have what the Dockerfile must handle in the real ones: a pip in /usr/local, no bytecode of the standard library.
They trust the same certificates and use the same package mirrors as this machine.
"""

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from support.image import SECONDS, WORK, Buildah

PACKAGES = "python3,python3-venv,libstdc++6"
DEBOOTSTRAP = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm")
DPKG = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
"""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TRUST = ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")
MIRRORS = ("PIP_INDEX_URL", "NPM_CONFIG_REGISTRY")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_python_base(buildah: Buildah, name: str) -> Path:
    """Build the substitute for python:…-slim-bookworm, and return its root folder."""
    container, root = _debian(buildah)
    [wheel] = root.glob("usr/share/python-wheels/pip-*.whl")
    [library] = root.glob("usr/local/lib/python3.*")
    zipfile.ZipFile(wheel).extractall(library / "dist-packages")
    _write_program(root / "usr/local/bin/pip3", 'exec python3 -m pip "$@"')
    for compiled in root.glob("usr/lib/python3*/**/__pycache__"):
        shutil.rmtree(compiled)
    buildah("commit", "--quiet", container, name)
    return root


def make_node_base(buildah: Buildah, name: str) -> None:
    """Build the substitute for node:…-bookworm-slim."""
    container, root = _debian(buildah)
    node, npm = (Path(shutil.which(program) or program).resolve() for program in ("node", "npm"))
    shutil.copy(node, root / "usr/local/bin/node")
    shutil.copytree(npm.parents[1], root / "usr/local/lib/npm", symlinks=True)
    (root / "usr/local/bin/npm").symlink_to(f"../lib/npm/bin/{npm.name}")
    buildah("commit", "--quiet", "--rm", container, name)


def _debian(buildah: Buildah) -> tuple[str, Path]:
    """Return a container with Debian, and its root folder."""
    container = buildah("from", "scratch")
    root = Path(buildah("mount", container))
    _run("tar", "-C", str(root), "-xf", str(_packed_debian(buildah.folder)))
    trusted = root / AUTHORITIES.relative_to("/")
    trusted.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(AUTHORITIES, trusted)
    trust = [f"--env={variable}={AUTHORITIES}" for variable in TRUST]
    mirrors = [f"--env={variable}={os.environ[variable]}" for variable in MIRRORS if variable in os.environ]
    buildah("config", f"--env=PATH={PATH}", *trust, *mirrors, container)
    return container, root


def _packed_debian(scratch: Path) -> Path:
    """Return Debian as a tar file, built once and cached across runs."""
    key = hashlib.sha256("\n".join([*DEBOOTSTRAP, DPKG]).encode()).hexdigest()
    kept = WORK / f"debian-{key[:12]}.tar"
    if not kept.exists():
        folder = scratch / "debian"
        rules = folder / "etc/dpkg/dpkg.cfg.d"
        rules.mkdir(parents=True)
        (rules / "image").write_text(DPKG)
        _run(*DEBOOTSTRAP, str(folder))
        _run("tar", "-C", str(folder), "--exclude=./var/cache/apt", "-cf", f"{kept}.part", ".")
        shutil.rmtree(folder)
        Path(f"{kept}.part").rename(kept)
    return kept


def _write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _run(*command: str) -> None:
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"

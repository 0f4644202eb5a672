"""The files of deploy/, interpreted as a container engine or cluster would, and their processes on this machine."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from dotenv import dotenv_values
from nacl.signing import SigningKey

from support.fal import sign
from support.ports import quiet_port
from support.served import Served

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE_FILES = ("compose.yaml", "compose.single.yaml")
SECONDS = 120
HOOKCAST = (sys.executable, "-m", "hookcast")


@dataclass(frozen=True, slots=True)
class Image:
    """The settings that the Dockerfile gives every container."""

    environment: dict[str, str]
    command: list[str]


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a file in deploy/: its command, its environment, and its whole specification."""

    environment: dict[str, str]
    command: list[str]
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compose:
    """A compose file with its variables interpolated."""

    services: dict[str, Container]
    networks: dict[str, dict[str, Any]]

    @property
    def nodes(self) -> dict[str, Container]:
        """The services that run Hookcast."""
        return {name: service for name, service in self.services.items() if service.command[0] == "hookcast"}


@dataclass(frozen=True, slots=True)
class Fal:
    """A fal on this machine: `settings` point a node to it, `key` signs its webhooks."""

    key: SigningKey
    settings: dict[str, str]

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the signature headers of a webhook."""
        return sign(body, self.key)


@dataclass(frozen=True, slots=True)
class Backends:
    """URLs of an empty PostgreSQL database and a Redis on this machine."""

    database: str
    redis: str


def image() -> Image:
    """Return the Dockerfile's settings and command."""
    text = (ROOT / "Dockerfile").read_text()
    settings = "\n".join(re.findall("^ENV .*$", text, re.MULTILINE))
    [command] = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    return Image(dict(re.findall(r"\b(HOOKCAST_[A-Z_]+)=(\S+)", settings)), json.loads(command))


def interpolated(file: str, folder: Path, values: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Interpolate a compose file with this `.env` through podman-compose, which prints it as YAML."""
    for name in (file, "Caddyfile"):
        shutil.copy(DEPLOY / name, folder)
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    podman = folder / "podman"  # podman-compose asks for the engine's version first
    podman.write_text("#!/bin/sh\necho podman version 5.4.0\n")
    podman.chmod(0o755)
    return subprocess.run(
        [sys.executable, "-m", "podman_compose", "-f", file, "config"],
        cwd=folder,
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def composed(file: str, folder: Path, values: Mapping[str, str]) -> Compose:
    """Return the interpolated compose file's services and networks."""
    done = interpolated(file, folder, values)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)
    services = {name: _service(folder, spec) for name, spec in read["services"].items()}
    return Compose(services, {name: network or {} for name, network in read["networks"].items()})


def _service(folder: Path, spec: dict[str, Any]) -> Container:
    ours = image() if spec["image"] == "hookcast" else Image({}, [""])
    files = [dotenv_values(folder / entry["path"]) for entry in spec.get("env_file", [])]
    environment = ours.environment
    for values in (*files, spec.get("environment", {})):
        environment |= {name: str(value) for name, value in values.items()}
    return Container(environment, spec.get("command", ours.command), spec)


def manifest() -> dict[str, dict[str, Any]]:
    """Return the objects of kubernetes.yaml by kind; there is one of each."""
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


def pod(objects: Mapping[str, Any]) -> Container:
    """Return the Deployment's container, with the environment that the kubelet would give it."""
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    [container] = spec["containers"]
    environment = dict(image().environment)
    if spec.get("enableServiceLinks", True):
        environment |= dict(_service_links(objects["Service"]))
    for source in container["envFrom"]:
        [(kind, reference)] = source.items()
        found = objects[{"secretRef": "Secret", "configMapRef": "ConfigMap"}[kind]]
        assert found["metadata"]["name"] == reference["name"]
        environment |= found.get("stringData", {}) | found.get("data", {})
    environment |= {entry["name"]: entry["value"] for entry in container.get("env", [])}
    command = [*container.get("command", image().command), *container.get("args", [])]
    return Container(environment, command, container)


def _service_links(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    prefix = service["metadata"]["name"].upper().replace("-", "_")
    [port] = service["spec"]["ports"]
    yield f"{prefix}_SERVICE_HOST", "10.96.0.10"
    yield f"{prefix}_SERVICE_PORT", str(port["port"])
    yield f"{prefix}_PORT", f"tcp://10.96.0.10:{port['port']}"


def here(environment: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """Replace a container's addresses and paths by those of this machine; each must occur somewhere."""
    text = json.dumps(dict(environment))
    for there, ours in places.items():
        text, count = re.subn(rf"(?<![\w.]){re.escape(there)}", ours, text)
        assert count, f"{there} is nowhere in {sorted(environment)}"
    found: dict[str, str] = json.loads(text)
    return found


class Deployed(Served):
    """A container's process on a free port, with only PATH from this machine's environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str], command: Sequence[str]) -> None:
        super().__init__(folder, {})
        assert command[0] == "hookcast"
        assert environment.get("HOOKCAST_PORT", "8000") == "8000"
        self._arguments = command[1:]
        self._environment = {"PATH": os.environ["PATH"], **environment, "HOOKCAST_PORT": str(self.port)}

    async def ended(self) -> int:
        """Wait until the process exits by itself, and return the exit code."""
        process, self._process = self._process, None
        assert process is not None
        return await asyncio.to_thread(process.wait, SECONDS)

    async def run(self, command: Sequence[str]) -> int:
        """Run another command in the same container, such as its health check, and return the exit code."""
        assert command[0] == "hookcast"
        process = await asyncio.create_subprocess_exec(
            *HOOKCAST, *command[1:], cwd=self._folder, env=self._environment, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(SECONDS):
            return await process.wait()


@asynccontextmanager
async def deployed(*nodes: Deployed) -> AsyncIterator[None]:
    """Start all nodes, and kill them with the block."""
    try:
        for node in nodes:
            await node.spawn()
        for node in nodes:
            await node.ready()
            await node.opened()
        yield
    finally:
        for node in nodes:
            await node.kill()


@asynccontextmanager
async def running_caddy(folder: Path, caddy: Container) -> AsyncIterator[Path]:
    """Run deploy/Caddyfile with the service's environment; yield the CA certificate once the health check passes."""
    admin = f"127.0.0.1:{quiet_port()}"
    text = (folder / "Caddyfile").read_text()
    for_tests = f"admin {admin}\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n\tskip_install_trust"
    assert "skip_install_trust" in text
    (folder / "Caddyfile").write_text(text.replace("skip_install_trust", for_tests))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder), **caddy.environment}
    check = caddy.spec["healthcheck"]["test"][-1].replace("127.0.0.1:2019", admin)
    command = ("/usr/bin/caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile")
    with (folder / "caddy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        await _answers(check)
        yield folder / "caddy/pki/authorities/local/root.crt"
    finally:
        process.terminate()
        await process.wait()


async def _answers(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(SECONDS):
        while True:
            try:
                (await client.get(url)).raise_for_status()
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
            else:
                return

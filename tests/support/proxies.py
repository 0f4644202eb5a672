"""Debian's nginx, haproxy and caddy, with the configurations from docs/operations.md.

Deviations from the page are only these: ports, the certificate, folders, and the timeouts that a test passes. Every
replacement must match, so that the page cannot become outdated unnoticed.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support.ports import quiet_port

Kind = Literal["nginx", "haproxy", "caddy"]
KINDS: tuple[Kind, ...] = ("nginx", "haproxy", "caddy")
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SNIPPET_SERVER = "127.0.0.1:8000"
SECOND_SERVER = "10.0.0.12:8000"
CERTIFICATE = "/etc/ssl/hookcast.pem"
LOGS = "/var/log/nginx"

# The relevant rest of Debian's nginx.conf; its workers keep their user.
NGINX = """
daemon off;
user root;
worker_processes 2;
pid %(folder)s/nginx.pid;
error_log stderr notice;
events { worker_connections 768; }
http {
sendfile on;
tcp_nopush on;
types_hash_max_size 2048;
include /etc/nginx/mime.types;
default_type application/octet-stream;
access_log off;
gzip on;
%(http)s
"""
CADDY = """{
    admin off
    auto_https disable_redirects
    skip_install_trust
    log {"""


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its URL, the certificate to trust, and the folder of its logs."""

    kind: Kind
    url: str
    certificate: Path
    folder: Path

    @property
    def socket_url(self) -> str:
        """The WebSocket's URL."""
        return self.url.replace("http", "ws", 1) + "/api/fal-jobs/ws"


def snippet(kind: Kind) -> str:
    """Return the configuration from the page."""
    found = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"docs/operations.md shows {len(found)} configurations of {kind}"
    return str(found[0])


def changed(text: str, changes: Mapping[str, str]) -> str:
    """Replace every old string by its new one; each must occur."""
    for old, new in changes.items():
        assert old in text, f"docs/operations.md no longer says {old!r}"
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def running_proxy(
    kind: Kind, server: str, certificate: Path, *, second: str = "", http: str = "", **changes: str
) -> AsyncIterator[Proxy]:
    """Start a proxy in front of `server`, and end it with the block.

    `changes` override settings of the snippet, by name with `_` for a space or a `_`; `second` is another node behind
    nginx, and `http` is added to its http block.
    """
    text = changed(snippet(kind), {SNIPPET_SERVER: server.removeprefix("http://")})
    if second:
        text = changed(text, {f"# server {SECOND_SERVER}": f"server {second.removeprefix('http://')}"})
    for name, value in changes.items():
        text, count = re.subn(rf"(?m)^(\s*{name.replace('_', '[ _]')} )[^;\n]*", rf"\g<1>{value}", text)
        assert count, f"docs/operations.md no longer sets {name}"
    port = quiet_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / f"{kind}.conf"
        file.write_text(_PLACED[kind](text, port, certificate) % {"folder": folder, "http": http})
        command = [part.format(file=file, folder=folder) for part in _COMMANDS[kind]]
        environment = {"PATH": os.environ["PATH"], "HOME": name, "XDG_DATA_HOME": name}
        log = folder / "stderr.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=output)
        try:
            await _listening(process, log, _READY[kind])
            yield Proxy(kind, f"https://127.0.0.1:{port}", certificate, folder)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()


def _nginx(text: str, port: int, certificate: Path) -> str:
    own = {"listen 443": f"listen 127.0.0.1:{port}", CERTIFICATE: str(certificate), LOGS: "%(folder)s"}
    return NGINX + changed(text, own) + "}\n"


def _haproxy(text: str, port: int, certificate: Path) -> str:
    return changed(text, {"bind :443": f"bind 127.0.0.1:{port}", CERTIFICATE: str(certificate)})


def _caddy(text: str, port: int, certificate: Path) -> str:
    own = f"https://127.0.0.1:{port} {{\n    bind 127.0.0.1\n    tls {certificate} {certificate}\n"
    return changed(text, {"hookcast.example {\n": own, "{\n    log {": CADDY})


_PLACED = {"nginx": _nginx, "haproxy": _haproxy, "caddy": _caddy}
_COMMANDS: dict[Kind, list[str]] = {
    "nginx": ["/usr/sbin/nginx", "-c", "{file}", "-p", "{folder}", "-e", "stderr"],
    "haproxy": ["/usr/sbin/haproxy", "-W", "-f", "{file}"],
    "caddy": ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", "{file}"],
}
_READY: dict[Kind, str] = {
    "nginx": "start worker process ",
    "haproxy": "Loading success",
    "caddy": "serving initial configuration",
}


async def _listening(process: asyncio.subprocess.Process, log: Path, sign: str) -> None:
    while sign not in log.read_text():
        assert process.returncode is None, f"the proxy ended: {log.read_text()}"
        await asyncio.sleep(0.01)

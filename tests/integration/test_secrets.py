"""What the server was given in confidence, it keeps: nothing that it prints or answers has a secret in it."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.access import API_KEY, SECRET, token
from support.ports import quiet_port

SECRETS = {
    "HOOKCAST_API_KEYS": API_KEY,
    "HOOKCAST_TOKEN_SECRET": SECRET,
    "FAL_KEY": "fal-key-0123:abcdef",
}
DEADLINE = 120.0
TOKEN = token(jobs=["job-1"], sub="user-1")
EXPIRED = token(expires_in=-5, sub="user-1")


@pytest.fixture
def url() -> str:
    """Where the server will be."""
    return f"http://127.0.0.1:{quiet_port()}"


class Refusal(BaseHTTPRequestHandler):
    """Answers 400 to everything."""

    def do_GET(self) -> None:
        """The keys, for instance."""
        self.send_error(400)

    def do_POST(self) -> None:
        """A submit."""
        self.send_error(400)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""


@pytest.fixture
def fal() -> Iterator[str]:
    """A fal that refuses."""
    with HTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_no_secret_is_printed_answered_or_shown(tmp_path: Path, url: str, fal: str) -> None:
    """Through a whole run: right and wrong requests of every kind, and a fal that says no."""
    given = {
        **SECRETS,
        "HOOKCAST_PORT": url.rpartition(":")[2],
        "HOOKCAST_DATABASE_URL": f"sqlite:///{tmp_path}/hookcast.db",
        "HOOKCAST_PUBLIC_URL": "https://hookcast.example",
        "HOOKCAST_FAL_QUEUE_URL": fal,
        "HOOKCAST_FAL_JWKS_URL": f"{fal}/jwks.json",
    }
    command = [sys.executable, "-X", "dev", "-m", "hookcast", "serve"]
    with (tmp_path / "said").open("wb") as said:
        server = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **given}, stdout=said, stderr=said)
        try:
            _wait(url, server)
            answers = _talk(url)
            shown = Path(f"/proc/{server.pid}/cmdline").read_bytes().decode()
        finally:
            server.terminate()
            assert server.wait(DEADLINE) == 0
    everything = (tmp_path / "said").read_text() + answers + shown
    assert "settings" in everything
    for secret in (*SECRETS.values(), TOKEN, EXPIRED, TOKEN.rpartition(".")[2]):
        assert secret not in everything


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(f"{url}/healthz")
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        return
    pytest.fail("the server did not start")


def _talk(url: str) -> str:
    """Ask for everything with every secret; all that was answered."""
    said: list[str] = []
    with httpx.Client(base_url=url, timeout=120) as client:
        for credential in (API_KEY, TOKEN, EXPIRED, "wrong"):
            headers = {"Authorization": f"Bearer {credential}"}
            for method, path in (
                ("PUT", "/api/fal-jobs/job-1"),
                ("POST", "/api/fal-jobs"),
                ("POST", "/api/fal-jobs/job-1/cancel"),
                ("GET", "/api/fal-jobs/job-1"),
                ("GET", f"/api/fal-jobs/job-1?token={credential}"),
                ("GET", f"/nowhere?token={credential}"),
                ("GET", "/api/fal-jobs/events?requestId=x"),
                ("POST", "/api/webhooks/fal"),
            ):
                body = {"endpointId": "fal-ai/flux/dev", "input": {}} if path == "/api/fal-jobs" else {}
                if path.endswith("requestId=x") and credential == API_KEY:
                    continue  # it would wait
                answer = client.request(method, path, headers=headers, json=body if method != "GET" else None)
                said.append(f"{answer.headers}{answer.text}")
            socket_url = f"ws{url[4:]}/api/fal-jobs/ws?token={credential}"
            with contextlib.suppress(ConnectionClosed), connect(socket_url, proxy=None) as socket:
                socket.send('{"type":"nonsense"}')
                said.append(str(socket.recv()))
    return "".join(said)

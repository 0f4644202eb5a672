"""What a server or a command refuses to start with, in one line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import hookcast
from support.ports import quiet_port
from support.served import running_served

COMMAND = [sys.executable, "-m", "hookcast"]
DEADLINE = 120.0
pytestmark = pytest.mark.anyio


def _complaint(folder: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


WRONG_ARGUMENTS = {
    "serve --port x": "'--port'",
    "serve --port 99999999": "65535",
    "serve --port": "'--port' requires an argument",
    "serve extra": "extra",
    "serv": "Did you mean 'serve'?",
    "--versoin": "--versoin",
    "health --port x": "'--port'",
    "health --prot 1": "--prot",
    "submit fal-ai/flux/dev": "'--input'",
    "jobs lsit": "'lsit'",
    "jobs show": "request_id",
    "token --expires-in 0": "'--expires-in'",
}


@pytest.mark.parametrize("line", WRONG_ARGUMENTS)
def test_wrong_arguments_are_named_in_one_line(tmp_path: Path, line: str) -> None:
    """Which says where the right ones are."""
    said = _complaint(tmp_path, *line.split())
    assert WRONG_ARGUMENTS[line].lower() in said.lower()
    assert "--help" in said


def test_every_wrong_setting_is_named_in_one_line(tmp_path: Path) -> None:
    wrong = {"HOOKCAST_PORT": "99999", "HOOKCAST_PUBLIC_URL": "ftp://x", "HOOKCAST_HEARTBEAT_SECONDS": "secret-0"}
    line = _complaint(tmp_path, "serve", **wrong)
    assert all(name in line for name in wrong)
    assert "secret-0" not in line


def test_wrong_settings_refuse_the_start(tmp_path: Path) -> None:
    """A server that was told to ask for keys must never start open."""
    assert "HOOKCAST_API_KEYS" in _complaint(tmp_path, "serve", HOOKCAST_API_KEYS=" , ")
    half = _complaint(tmp_path, "serve", HOOKCAST_TOKEN_JWKS_URL="https://idp.test/jwks.json")
    assert "HOOKCAST_TOKEN_ISSUER" in half
    wrong = _complaint(tmp_path, "serve", HOOKCAST_DATABASE_URL="mysql://u:secret-0@h/d")
    assert "postgresql://" in wrong
    assert "secret-0" not in wrong


@pytest.mark.parametrize("command", ["serve", "dev", "emulator"])
def test_certificates_that_cannot_be_used_refuse_the_start(tmp_path: Path, command: str) -> None:
    assert "SSL_CERT_FILE=/nonexistent" in _complaint(tmp_path, command, SSL_CERT_FILE="/nonexistent")


@pytest.mark.parametrize(
    ("name", "value"), [("HTTPS_PROXY", "http://u:secret-0@h:abc"), ("ALL_PROXY", "nothing://u:secret-0@h")]
)
def test_a_proxy_that_cannot_be_used_refuses_the_start(tmp_path: Path, name: str, value: str) -> None:
    """Its password does not show."""
    said = _complaint(tmp_path, "serve", **{name: value})
    assert name in said
    assert "secret-0" not in said


def test_weak_keys_and_secrets_refuse_the_start_where_others_come(tmp_path: Path) -> None:
    """By the address in the environment or on the command line, or by a public one; none of them shows."""
    weak = {"HOOKCAST_API_KEYS": "changeme", "HOOKCAST_TOKEN_SECRET": "secret-0"}
    wide = {"HOOKCAST_HOST": "0.0.0.0"}  # noqa: S104
    public = {"HOOKCAST_PUBLIC_URL": "https://hooks.example.com"}
    for more, environment in (((), wide), (("--host", "::"), {}), ((), public)):
        line = _complaint(tmp_path, "serve", *more, **weak, **environment)
        assert all(name in line for name in weak)
        assert not any(text in line for text in weak.values())


async def test_what_is_nearly_right_is_told_at_the_start_and_by_the_doctor(tmp_path: Path) -> None:
    """On loopback the server starts all the same."""
    settings = {"api_key": "x", "api_keys": "changeme", "fal_jwks_url": f"http://127.0.0.1:{quiet_port()}"}
    (tmp_path / ".env").write_text("HOOKCAST_TOKENSECRET=x\n")
    async with running_served(tmp_path, settings) as [served]:
        logged = [json.loads(line) for line in served.log.read_text().splitlines()]
        hints = [line["hint"] for line in logged if line["event"] == "settings"]
    environment = {f"HOOKCAST_{name.upper()}": value for name, value in settings.items()}
    said = await hookcast(tmp_path, "doctor", **environment)
    lines = [line.split(None, 2) for line in said.out.splitlines()]
    warned = [text for level, subject, text in lines if (level, subject) == ("warn", "settings")]
    for name in ("HOOKCAST_API_KEY is no", "HOOKCAST_TOKENSECRET is no", "HOOKCAST_API_KEYS is too short"):
        assert any(hint.startswith(name) for hint in hints), hints
        assert any(hint.startswith(name) for hint in warned), said.out
    assert set(hints) <= set(warned)


def test_open_mode_stays_on_loopback(tmp_path: Path) -> None:
    """For the server and for the emulator."""
    assert "loopback" in _complaint(tmp_path, "serve", "--host", "0.0.0.0")  # noqa: S104
    assert "loopback" in _complaint(tmp_path, "emulator", "--host", "0.0.0.0")  # noqa: S104


def test_a_taken_port_says_what_to_do(tmp_path: Path) -> None:
    """One line, with the option."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "--port" in _complaint(tmp_path, "serve", "--port", str(listener.getsockname()[1]))


def test_a_taken_port_of_the_emulator_says_what_to_do(tmp_path: Path) -> None:
    """If it was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        assert "--emulator-port" in _complaint(tmp_path, "dev", "--port", str(quiet_port()), "--emulator-port", taken)


def test_more_than_one_worker_needs_a_database_and_a_bus_that_can_be_shared(tmp_path: Path) -> None:
    """One line that names both settings."""
    line = _complaint(tmp_path, "serve", "--workers", "2", "--port", str(quiet_port()))
    assert "HOOKCAST_DATABASE_URL=postgresql://" in line
    assert "HOOKCAST_REDIS_URL=redis://" in line

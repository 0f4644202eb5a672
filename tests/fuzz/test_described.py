"""schemathesis on the description at /openapi.json, against a real `hookcast serve` and the emulated fal."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from nacl.signing import SigningKey
from schemathesis.core import NOT_SET
from schemathesis.specs.openapi import checks as described

import requests
from hookcast.routes.openapi import describe
from support.dev import wait_for_database
from support.fal import sign
from support.fuzz import LONG
from support.jwks import published_to_threads
from support.ports import quiet_port

pytestmark = pytest.mark.timeout(1800 if LONG else 240)
EXAMPLES = 1000 if LONG else 8
DEADLINE = 120.0
CHECKS = [
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_schema_conformance,
    described.response_headers_conformance,
]
KEY = SigningKey(bytes(32))


class Process:
    """A command of hookcast, ended with the fixture."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOOKCAST_", "FAL_"))}
        with (folder / f"{command[0]}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hookcast", *command],
                cwd=folder,
                env={**kept, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        assert b"listens" in self.process.stdout.readline()

    def end(self) -> None:
        """Wait for its last word."""
        self.process.terminate()
        self.process.communicate(timeout=DEADLINE)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server is. Its streams live for a moment only, and its fal signs with `KEY`."""
    folder = tmp_path_factory.mktemp("described")
    fal, port = quiet_port(), quiet_port()
    with published_to_threads(KEY) as jwks:
        emulator = Process(folder, "emulator", "--port", str(fal), "--speed", "100")
        server = Process(
            folder,
            *("serve", "--port", str(port)),
            HOOKCAST_FAL_QUEUE_URL=f"http://127.0.0.1:{fal}",
            HOOKCAST_FAL_JWKS_URL=jwks,
            HOOKCAST_STREAM_LIFETIME_SECONDS="0.05",
            FAL_KEY="key",
        )
        wait_for_database(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
        server.end()
        emulator.end()
    assert "Traceback" not in (folder / "serve.log").read_text(errors="replace")


schema = schemathesis.openapi.from_dict(describe())  # what the server serves: tests/integration/test_openapi.py


@schema.exclude(path="/api/fal-jobs/ws").parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_answers_are_as_described(address: str, case: Any) -> None:
    """Whatever is asked, also what the description does not allow: no 5xx of ours, and nothing undescribed."""
    if case.query and "wait" in case.query:
        case.query["wait"] = "0.01"  # the wish is right or wrong all the same, and nobody waits a minute
    if case.path == "/api/webhooks/fal":
        _sign(case)
    answer = case.call_and_validate(address, checks=CHECKS, timeout=DEADLINE)
    assert answer.status_code < 500 or answer.status_code == 502, answer.text  # 502: fal itself said no


def _sign(case: Any) -> None:
    """Every second one is fal's: only then its body is read."""
    if case.body is NOT_SET or isinstance(case.body, bytes):
        return
    body = requests.Request("POST", "http://x/", json=case.body).prepare().body
    if isinstance(body, bytes) and len(body) % 2:
        case.headers.update(sign(body, KEY))

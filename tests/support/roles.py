"""The service that gives credentials of a role of AWS, as that of a pod on EKS."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.filehost import FileHost, answer, running_host


def written(moment: datetime) -> str:
    """The time as clouds write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def gives_a_session(sock: socket.socket) -> None:
    """Give credentials for an hour."""
    end = written(datetime.now(UTC) + timedelta(hours=1))
    found = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "session", "Expiration": end}
    sock.sendall(answer(json.dumps(found).encode()))


@contextmanager
def running_role(folder: Path, environment: pytest.MonkeyPatch) -> Iterator[FileHost]:
    """Run the service, with the variables of a pod that may ask it."""
    with running_host() as host:
        host.otherwise = gives_a_session
        (folder / "token").write_text("pod")
        environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{host.url}/role")
        environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(folder / "token"))
        yield host

"""Links that temporary credentials sign: those of S3 end with a session, those of Azure when they say."""

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hookcast.media.storage import open_storage
from support.azurite import ACCOUNT
from support.filehost import FileHost, answer, running_host

KEY_OF_AZURE = """<?xml version="1.0" encoding="utf-8"?>
<UserDelegationKey><SignedOid>o</SignedOid><SignedTid>t</SignedTid><SignedStart>{}</SignedStart>
<SignedExpiry>{}</SignedExpiry><SignedService>b</SignedService><SignedVersion>2023-11-03</SignedVersion>
<Value>AAAA</Value></UserDelegationKey>"""
WANTED = re.compile(rb"<Start>(.+)</Start>\s*<Expiry>(.+)</Expiry>")


@pytest.fixture
def host() -> Iterator[FileHost]:
    """The service that gives temporary credentials."""
    with running_host() as running:
        yield running


def query(link: str) -> dict[str, str]:
    """The parameters of a link."""
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def written(moment: datetime) -> str:
    """The time as clouds write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_role_of_s3_signs_with_the_token_of_its_session(
    host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials come once an hour: a second link takes no request."""

    def session(sock: socket.socket) -> None:
        end = written(datetime.now(UTC) + timedelta(hours=1))
        found = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "session", "Expiration": end}
        sock.sendall(answer(json.dumps(found).encode()))

    host.scripts["/role"] = session
    (tmp_path / "token").write_text("pod")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{host.url}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    storage = open_storage("s3://media/p?region=us-east-1", None)
    for link in (*storage.links(["a/0-x.png"], 86_400), *storage.links(["a/1-x.png"], 86_400)):
        assert "X-Amz-Security-Token=session" in link
    assert len(host.requests) == 1


def delegates(sock: socket.socket) -> None:
    """Give a key for as long as it is asked for."""
    request = b""
    while not (found := WANTED.search(request)):
        if not (data := sock.recv(4096)):
            return
        request += data
    sock.sendall(answer(KEY_OF_AZURE.format(*(time.decode() for time in found.groups())).encode()))


@pytest.mark.parametrize("seconds", [600, 7200, 86_400, 604_800])
def test_a_role_of_azure_signs_with_a_key_that_lasts_as_long_as_the_link(
    host: FileHost, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    host.otherwise = delegates
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "role")
    storage = open_storage(f"az://media/p?account={ACCOUNT}&endpoint={host.url}/{ACCOUNT}", None)
    [link] = storage.links(["a/0-x.png"], seconds)
    assert query(link)["se"] <= query(link)["ske"]
    assert query(link)["se"] > written(datetime.now(UTC) + timedelta(seconds=seconds - 60))

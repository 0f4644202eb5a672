"""Links that temporary credentials sign: those of S3 end with a session, those of Azure when they say.

To sign may take a request, which holds no reader up.
"""

import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from hookcast.media import linking
from hookcast.media.linking import Links
from hookcast.media.storage import open_storage
from support.azurite import ACCOUNT, Container
from support.buckets import Bucket
from support.filehost import FileHost, answer, running_host
from support.gcs import GoogleBucket
from support.roles import running_role, written

KEY_OF_AZURE = """<?xml version="1.0" encoding="utf-8"?>
<UserDelegationKey><SignedOid>o</SignedOid><SignedTid>t</SignedTid><SignedStart>{}</SignedStart>
<SignedExpiry>{}</SignedExpiry><SignedService>b</SignedService><SignedVersion>2023-11-03</SignedVersion>
<Value>AAAA</Value></UserDelegationKey>"""
WANTED = re.compile(rb"<Start>(.+)</Start>\s*<Expiry>(.+)</Expiry>")


def query(link: str) -> dict[str, str]:
    """The parameters of a link."""
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


@pytest.fixture
def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileHost]:
    """The service of AWS."""
    with running_role(tmp_path, monkeypatch) as running:
        yield running


def test_a_role_of_s3_signs_with_the_token_of_its_session(role: FileHost) -> None:
    """Credentials come once an hour: a second link takes no request."""
    storage = open_storage("s3://media/p?region=us-east-1", None)
    for link in (*storage.links(["a/0-x.png"], 86_400), *storage.links(["a/1-x.png"], 86_400)):
        assert "X-Amz-Security-Token=session" in link
    assert len(role.requests) == 1


def test_credentials_that_hang_hold_no_reader_up(role: FileHost, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, session = threading.Event(), role.otherwise

    def hangs(sock: socket.socket) -> None:
        go_on.wait(10)
        session(sock)

    role.otherwise = hangs
    links = Links(open_storage("s3://media/p?region=us-east-1", None), 86_400, time.monotonic)
    assert links("a/0-x.png") is None
    monkeypatch.setattr(linking, "PATIENCE_SECONDS", 60.0)
    assert links("a/1-x.png") is None
    go_on.set()
    while links("a/1-x.png") is None:
        threading.Event().wait(0.01)
    assert links("a/0-x.png") is not None


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
    monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "role")
    with running_host() as host:
        host.otherwise = delegates
        storage = open_storage(f"az://media/p?account={ACCOUNT}&endpoint={host.url}/{ACCOUNT}", None)
        [link] = storage.links(["a/0-x.png"], seconds)
    assert linking.may_need_a_request(link)
    assert query(link)["se"] <= query(link)["ske"]
    assert query(link)["se"] > written(datetime.now(UTC) + timedelta(seconds=seconds - 60))


@pytest.mark.parametrize(("scheme", "key"), [("s3", Bucket.credentials), ("az", Container.credentials)])
def test_a_link_of_a_key_shows_that_it_needs_no_request(
    monkeypatch: pytest.MonkeyPatch, scheme: str, key: dict[str, str]
) -> None:
    for name, value in key.items():
        monkeypatch.setenv(name, value)
    [link] = open_storage(f"{scheme}://media/p", None).links(["a/0-x.png"], 600)
    assert not linking.may_need_a_request(link)


def test_a_link_of_google_shows_not_whether_it_needs_a_request(
    gcs: GoogleBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gcs.credentials.items():
        monkeypatch.setenv(name, value)
    [link] = open_storage(gcs.url("p"), None).links(["a/0-x.png"], 600)
    assert linking.may_need_a_request(link)

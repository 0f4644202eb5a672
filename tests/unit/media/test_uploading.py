"""One PUT to a storage that does not take it."""

import os
import socket
import ssl
from pathlib import Path

import pytest

from hookcast.media.failures import Stopped, StorageFailed
from hookcast.media.stopping import Stop
from hookcast.media.storage import uploading
from hookcast.media.storage.uploading import Upload
from support.certificates import make_certificate
from support.filehost import FileHost, Script, answer, running_host

CONTENT = memoryview(os.urandom(20_000_000))  # more than the kernel buffers
REFUSAL = answer(b"<Error><Code>ExpiredToken</Code><Message>no</Message></Error>", status="403 Forbidden")


def upload(host: FileHost, script: Script, stop: Stop | None = None) -> None:
    """Upload the content to a host that does what the script says."""
    host.scripts["/bucket/key?X-Amz-Signature=abc"] = script
    started = Upload(
        f"{host.url}/bucket/key?X-Amz-Signature=abc", len(CONTENT), {"Content-Type": "video/mp4"}, stop or Stop()
    )
    try:
        started.send(CONTENT)
        started.finish()
    finally:
        started.close()
        started.close()


def taken(sock: socket.socket) -> None:
    """Read the whole content."""
    left = len(CONTENT)
    while left and (data := sock.recv(1 << 20)):
        left -= len(data)


def test_an_upload_says_its_length_and_its_type(host: FileHost) -> None:
    def script(sock: socket.socket) -> None:
        taken(sock)
        sock.sendall(answer(b"", "ETag: x"))

    upload(host, script)
    [request] = host.requests
    assert request.startswith("PUT /bucket/key?X-Amz-Signature=abc HTTP/1.1\r\n")
    assert f"Content-Length: {len(CONTENT)}\r\n" in request
    assert "Content-Type: video/mp4\r\n" in request


@pytest.mark.parametrize("read", [True, False], ids=["after all of it", "in the middle"])
def test_a_refusal_is_told_with_its_code(host: FileHost, read: bool) -> None:
    def script(sock: socket.socket) -> None:
        if read:
            taken(sock)
        sock.sendall(REFUSAL)
        sock.shutdown(socket.SHUT_WR)
        taken(sock) if not read else None

    with pytest.raises(StorageFailed, match=r"403 \(ExpiredToken\)"):
        upload(host, script)


@pytest.mark.parametrize("read", [True, False], ids=["after all of it", "in the middle"])
def test_a_connection_that_breaks_is_told(host: FileHost, read: bool) -> None:
    with pytest.raises(StorageFailed, match="broke off an upload"):
        upload(host, taken if read else lambda _: None)


def test_a_storage_that_takes_nothing_more_is_given_up(host: FileHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "SILENCE_SECONDS", 0.3)
    with pytest.raises(StorageFailed, match="timed out"):
        upload(host, lambda _: (host.ended.wait(60), None)[1])


@pytest.mark.parametrize("read", [True, False], ids=["while it waits for the answer", "in the middle"])
def test_a_stop_ends_an_upload(host: FileHost, read: bool) -> None:
    stop = Stop()

    def script(sock: socket.socket) -> None:
        if read:
            taken(sock)
        stop.set()
        host.ended.wait(60)

    with pytest.raises(Stopped):
        upload(host, script, stop)


def test_nobody_serves_there(host: FileHost) -> None:
    host.url = "http://127.0.0.1:9"
    with pytest.raises(StorageFailed, match="refused"):
        upload(host, taken)


def test_over_tls_the_storage_must_be_who_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)

    def script(sock: socket.socket) -> None:
        taken(sock)
        sock.sendall(answer(b""))

    with running_host(certificate) as host:
        with pytest.raises(StorageFailed, match="certificate"):
            upload(host, script)
        monkeypatch.setattr(uploading, "tls_context", lambda: ssl.create_default_context(cafile=certificate))
        upload(host, script)

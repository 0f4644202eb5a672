"""Azure may answer a copy before it is done: the draft must stay until then."""

import socket

import pytest

from hookcast.media.failures import StorageFailed
from hookcast.media.storage import pending
from hookcast.media.storage.pending import wait_for_copy
from support.filehost import FileHost, Script, answer, says


def copied(host: FileHost, *answers: bytes) -> None:
    """Wait for a copy about which the host gives these answers."""
    scripts: list[Script] = [says(each) for each in answers]

    def script(sock: socket.socket) -> None:
        scripts.pop(0)(sock)

    host.scripts["/media/a?sig=x"] = script
    wait_for_copy(f"{host.url}/media/a?sig=x")
    assert scripts == []


def status(word: str) -> bytes:
    """Return an answer about a copy."""
    return answer(b"", f"x-ms-copy-status: {word}")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(pending, "PAUSE_SECONDS", 0.0)


def test_a_copy_is_waited_for(host: FileHost) -> None:
    copied(host, status("pending"), status("pending"), status("success"))
    assert all(request.startswith("HEAD /media/a?sig=x ") for request in host.requests)


def test_a_file_that_is_no_copy_is_there(host: FileHost) -> None:
    copied(host, answer(b""))


@pytest.mark.parametrize("word", ["failed", "aborted"])
def test_a_copy_that_fails_is_told(host: FileHost, word: str) -> None:
    with pytest.raises(StorageFailed, match=f"its copy is {word}"):
        copied(host, status("pending"), status(word))


def test_a_copy_that_takes_too_long_is_told(host: FileHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "COPY_SECONDS", 0.0)
    with pytest.raises(StorageFailed, match="its copy is pending"):
        copied(host, status("pending"))


@pytest.mark.parametrize("reply", [answer(b"", status="403 Forbidden"), b""], ids=["refused", "broken off"])
def test_a_storage_that_does_not_tell_is_told(host: FileHost, reply: bytes) -> None:
    with pytest.raises(StorageFailed, match="bucket of kept files"):
        copied(host, reply)

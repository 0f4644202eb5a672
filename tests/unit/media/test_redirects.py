"""A host may redirect to another one, and to no address that is not public."""

import itertools
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookcast.media.failures import Interrupted, Left, Reason
from hookcast.media.fetching import MAX_REDIRECTS
from support.certificates import make_certificate
from support.fetched import BODY, fetched
from support.filehost import FileHost, answer, redirect, running_host, says
from support.forbidden import RESOLVED, WRITTEN


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_redirects_are_followed(host: FileHost, status: str) -> None:
    host.scripts["/a/b"] = says(redirect("../c?d#e", status))
    host.scripts["/c?d"] = says(answer(BODY))
    assert fetched(f"{host.url}/a/b") == BODY


@pytest.mark.parametrize("location", ["/my cat é.png", "/my%20cat%20é.png", "/my%20cat%20%C3%A9.png"])
def test_a_redirect_may_lead_to_a_path_as_people_write_it(host: FileHost, location: str) -> None:
    """As browsers take it: blanks, and UTF-8 as it is."""
    host.scripts["/a"] = says(redirect(location))
    host.scripts["/my%20cat%20%C3%A9.png"] = says(answer(BODY))
    assert fetched(f"{host.url}/a") == BODY


def test_redirects_without_end_are_not_followed(host: FileHost) -> None:
    host.scripts["/a"] = says(redirect("/a"))
    with pytest.raises(Left) as left:
        fetched(f"{host.url}/a")
    assert left.value.reason is Reason.REDIRECTS
    assert len(host.requests) == MAX_REDIRECTS + 1


@pytest.fixture
def public_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileHost]:
    """Run a host that stands in for one on the public internet: 8.8.8.8 leads there."""
    with running_host(make_certificate(tmp_path)) as host:
        connect = socket.create_connection

        def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
            assert address == ("8.8.8.8", 443), "what was checked is what is connected to"
            return connect(("127.0.0.1", host.port), timeout)

        monkeypatch.setattr(socket, "create_connection", create_connection)
        yield host


def from_public(url: str, addresses: Iterator[list[str]]) -> bytes:
    """Fetch as a server with fal itself does, from the stand-in."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return fetched(url, allow_local=False, tls=tls, resolve=lambda *_: next(addresses))


def test_a_redirect_is_refused_for_what_it_says(public_host: FileHost) -> None:
    """Whatever the first address may not be, a later one may not be either."""
    attempts = [url for url in WRITTEN if re.match(r"[a-z]+://[^/?\t\r\n\0][^\t\r\n\0]*$", url)]
    assert len(attempts) > 40
    for number, url in enumerate(attempts):
        public_host.scripts[f"/{number}"] = says(redirect(url))
        with pytest.raises(Left) as left:
            from_public(f"https://cdn.fal.media/{number}", itertools.repeat(["8.8.8.8"]))
        assert left.value.reason is Reason.REFUSED, url
    assert len(public_host.requests) == len(attempts)


def test_a_redirect_to_an_address_that_is_not_public_is_not_followed(public_host: FileHost) -> None:
    """Named as it is, by a name that leads there, and by the same name as before, which now leads there."""
    public_host.scripts["/name"] = says(redirect("https://other.fal.media/latest/meta-data/"))
    public_host.scripts["/same"] = says(redirect("https://cdn.fal.media/latest/meta-data/"))
    for address in RESOLVED:
        literal = f"[{address}]" if ":" in address else address
        public_host.scripts["/literal"] = says(redirect(f"https://{literal}/latest/meta-data/"))
        for path in ("/literal", "/name", "/same"):
            with pytest.raises(Left) as left:
                from_public(f"https://cdn.fal.media{path}", iter([["8.8.8.8"], [address]]))
            assert left.value.reason is Reason.REFUSED, address
    assert len(public_host.requests) == 3 * len(RESOLVED)


def test_a_redirect_to_another_public_host_is_followed(public_host: FileHost) -> None:
    public_host.scripts["/a"] = says(redirect("https://storage.googleapis.com/b?X=1"))
    public_host.scripts["/b?X=1"] = says(answer(BODY))
    assert from_public("https://cdn.fal.media/a", itertools.repeat(["8.8.8.8"])) == BODY
    assert [line for request in public_host.requests for line in request.split("\r\n") if line.startswith("Host")] == [
        *("Host: cdn.fal.media", "Host: storage.googleapis.com")
    ]


def test_with_the_emulator_a_redirect_leads_to_no_private_address(host: FileHost) -> None:
    for address in RESOLVED:
        if address not in {"127.0.0.1", "127.255.255.254", "::1"}:
            host.scripts["/a"] = says(redirect("https://rebound.fal.media/"))
            with pytest.raises(Left):
                fetched(f"{host.url}/a", resolve=lambda *_, found=address: [found])


def test_without_the_emulator_loopback_is_refused_before_anything_is_sent(host: FileHost) -> None:
    for url in (host.url, f"https://127.0.0.1:{host.port}", "https://127.0.0.1"):
        with pytest.raises(Left):
            fetched(url, allow_local=False)
    assert host.requests == []


def test_the_address_that_was_checked_is_the_one_connected_to(host: FileHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that answers with a public address first gets no second question."""
    asked, connected = [], []
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])

    def resolve(name: str, port: int) -> list[str]:
        asked.append((name, port))
        return next(answers)

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        connected.append(address)
        raise OSError(f"not really, within {timeout}")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Interrupted):
        fetched("https://rebinding.fal.media/a", allow_local=False, resolve=resolve)
    assert (asked, connected) == ([("rebinding.fal.media", 443)], [("8.8.8.8", 443)])
    assert host.requests == []

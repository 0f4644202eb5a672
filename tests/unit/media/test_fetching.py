"""A file from a stranger's host: what it may do, and what is told when it does not do it well."""

import gzip
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.media.failures import Interrupted, Left, Reason
from hookcast.media.stopping import Stop
from support.certificates import make_certificate
from support.fetched import BODY, fetched, fetcher
from support.filehost import FileHost, answer, running_host, says


def test_a_file_comes_whole_with_what_is_told_of_it(host: FileHost) -> None:
    host.scripts["/files/my%20cat.png?x=1"] = says(answer(BODY, "Content-Type: image/png"))
    with fetcher().get(f"{host.url}/files/my%20cat.png?x=1", Stop()) as download:
        assert (download.content_type, download.name, download.length) == ("image/png", "my cat.png", len(BODY))
    assert fetched(f"{host.url}/files/my%20cat.png?x=1") == BODY


def test_a_request_says_nothing_of_us_but_the_name(host: FileHost) -> None:
    host.scripts["/a"] = says(answer(b"x"))
    fetched(f"{host.url}/a")
    lines = host.requests[0].split("\r\n")
    assert lines[0] == "GET /a HTTP/1.1"
    assert sorted(line.partition(":")[0] for line in lines[1:-2]) == [
        *("Accept", "Accept-Encoding", "Connection", "Host", "User-Agent")
    ]
    assert "Accept-Encoding: identity" in lines
    assert f"Host: 127.0.0.1:{host.port}" in lines


@pytest.mark.parametrize("size", [1000, 4096, 70_001, 1_000_000])
def test_a_body_in_chunks_comes_whole(host: FileHost, size: int) -> None:
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in (BODY[:3], BODY[3:70_000], BODY[70_000:]))
    host.scripts["/a"] = says(
        answer(b"", "Transfer-Encoding: chunked", length=None), chunks, b"0\r\nTrailer: x\r\n\r\n"
    )
    assert fetched(f"{host.url}/a", size=size) == BODY
    with fetcher().get(f"{host.url}/a", Stop()) as download:
        assert download.length is None


def test_a_body_without_a_length_ends_with_the_connection(host: FileHost) -> None:
    host.scripts["/a"] = says(answer(BODY, length=None))
    assert fetched(f"{host.url}/a") == BODY


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_answers_are_passed_over(host: FileHost, status: str) -> None:
    """RFC 9110, section 15.2: a client expects any number of them."""
    host.scripts["/a"] = says(f"HTTP/1.1 {status}\r\nLink: </a.css>\r\n\r\n".encode() * 2 + answer(BODY))
    assert fetched(f"{host.url}/a") == BODY


@pytest.mark.parametrize("head", [answer(b""), answer(b"0\r\n\r\n", "Transfer-Encoding: chunked", length=None)])
def test_an_empty_file_is_empty(host: FileHost, head: bytes) -> None:
    host.scripts["/a"] = says(head)
    assert fetched(f"{host.url}/a") == b""


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (status, Reason.GONE)
        for status in ("400 x", "401 x", "403 x", "404 x", "410 x", "451 x", "204 x", "206 x", "300 x")
    ],
)
def test_what_the_host_does_not_give_is_left(host: FileHost, status: str, reason: Reason) -> None:
    host.scripts["/a"] = says(answer(b"" if status == "204 x" else b"no", status=status))
    with pytest.raises(Left, match=status[:3]) as left:
        fetched(f"{host.url}/a")
    assert left.value.reason is reason


@pytest.mark.parametrize("status", ["408 x", "425 x", "429 x", "500 x", "502 x", "503 x", "504 x"])
def test_what_may_pass_is_tried_again(host: FileHost, status: str) -> None:
    host.scripts["/a"] = says(answer(b"", "Retry-After: 7", status=status))
    with pytest.raises(Interrupted, match=status[:3]) as interrupted:
        fetched(f"{host.url}/a")
    assert interrupted.value.after == 7


def test_a_compressed_file_is_not_unpacked(host: FileHost) -> None:
    host.scripts["/a"] = says(answer(gzip.compress(BODY), "Content-Encoding: gzip"))
    with pytest.raises(Left, match="gzip") as left:
        fetched(f"{host.url}/a")
    assert left.value.reason is Reason.ENCODED


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "chunked, chunked", "x"])
def test_a_body_in_a_framing_that_is_not_known_is_left(host: FileHost, coding: str) -> None:
    """What came would be the framing, not the file."""
    host.scripts["/a"] = says(answer(b"1\r\nx\r\n0\r\n\r\n", f"Transfer-Encoding: {coding}", length=None))
    with pytest.raises(Left, match=coding) as left:
        fetched(f"{host.url}/a")
    assert left.value.reason is Reason.ENCODED


@pytest.mark.parametrize("header", ["Content-Encoding:", "Content-Encoding: Identity", "Transfer-Encoding: identity"])
def test_a_body_that_is_said_to_be_as_it_is_comes_whole(host: FileHost, header: str) -> None:
    host.scripts["/a"] = says(answer(BODY, header))
    assert fetched(f"{host.url}/a") == BODY


def test_a_file_that_is_announced_too_big_is_not_read(host: FileHost) -> None:
    host.scripts["/a"] = says(answer(b"", length=10_000_001))
    with pytest.raises(Left) as left:
        fetched(f"{host.url}/a")
    assert left.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize("framing", ["", "Transfer-Encoding: chunked"])
def test_a_file_that_becomes_too_big_is_left(host: FileHost, framing: str) -> None:
    chunk = b"3e800\r\n" + BODY + b"\r\n" if framing else BODY

    def without_end(sock: socket.socket) -> None:
        sock.sendall(answer(b"", *filter(None, [framing]), length=None))
        with suppress(OSError):
            while True:
                sock.sendall(chunk)

    host.scripts["/a"] = without_end
    with pytest.raises(Left) as left:
        fetched(f"{host.url}/a", max_bytes=1_000_000)
    assert left.value.reason is Reason.TOO_BIG


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([answer(BODY, length=len(BODY) + 1)], "of 256001 bytes"),
        ([answer(BODY, length=len(BODY) - 1)], "sent more than the 255999 bytes"),
        ([answer(b"", length=5)], "sent 0 of 5 bytes"),
        ([answer(b"5\r\nab", "Transfer-Encoding: chunked", length=None)], "in the middle"),
        ([answer(b"5\r\nabcde\r\n", "Transfer-Encoding: chunked", length=None)], "in the middle"),
        ([answer(b"zz\r\nabcde\r\n", "Transfer-Encoding: chunked", length=None)], "middle"),
        ([answer(b"", length=-5)], "no valid length"),
        ([answer(BODY, "Content-Length: 0x3e8", length=None)], "no valid length"),
        ([answer(BODY, "Content-Length: 256_000", length=None)], "no valid length"),
        ([answer(BODY, "Content-Length: 5")], "no valid length"),
        ([answer(BODY[:9], f"Content-Length: {len(BODY)}, {len(BODY)}", length=None)], "of 256000 bytes"),
        ([b""], "could not be asked"),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], "before the file began"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 25"], "sent 0 of 25 bytes"),
        ([b"SSH-2.0-OpenSSH_9.7\r\n"], "could not be asked"),
        ([b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n"], "could not be asked"),
        ([b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"], "could not be asked"),
    ],
)
def test_a_host_that_lies_or_breaks_off_is_tried_again(host: FileHost, parts: list[bytes], told: str) -> None:
    host.scripts["/a"] = says(*parts)
    with pytest.raises(Interrupted, match=told):
        fetched(f"{host.url}/a")


def test_a_connection_that_is_reset_in_the_middle_is_tried_again(host: FileHost) -> None:
    def reset(sock: socket.socket) -> None:
        sock.sendall(answer(BODY[:1000], length=len(BODY)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    host.scripts["/a"] = reset
    with pytest.raises(Interrupted):
        fetched(f"{host.url}/a")


def test_a_head_without_end_is_given_up(host: FileHost) -> None:
    def interim(sock: socket.socket) -> None:
        with suppress(OSError):
            while True:
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    host.scripts["/a"] = interim
    with pytest.raises(Interrupted, match="too large"):
        fetched(f"{host.url}/a")


def test_a_host_that_nobody_serves_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(Interrupted):
        fetched(f"http://127.0.0.1:{port}/")
    with pytest.raises(Interrupted):
        fetched("https://nowhere.fal.media/", resolve=Fails())


class Fails:
    """A resolver that finds nothing."""

    def __call__(self, name: str, port: int) -> list[str]:
        """Raise as the system's does."""
        raise socket.gaierror(socket.EAI_NONAME, f"Name or service not known: {name}:{port}")


def test_over_tls_the_host_must_be_who_it_says(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)
    with running_host(certificate) as host:
        host.scripts["/a"] = says(answer(BODY, length=None))
        assert fetched(f"{host.url}/a", tls=trusting) == BODY
        with pytest.raises(Interrupted, match="certificate"):
            fetched(f"{host.url}/a")
        with pytest.raises(Interrupted, match="certificate"):
            fetched(f"https://cdn.fal.media:{host.port}/a", tls=trusting, resolve=lambda *_: ["127.0.0.1"])


def test_over_tls_an_end_that_is_no_end_is_noticed(tmp_path: Path) -> None:
    """A body without a length that somebody cuts: TLS says how it ended."""
    certificate = make_certificate(tmp_path)

    def cut(sock: socket.socket) -> None:
        sock.sendall(answer(BODY, length=None))
        sock.shutdown(socket.SHUT_RDWR)

    trusting = ssl.create_default_context(cafile=certificate)
    trusting.options |= ssl.OP_IGNORE_UNEXPECTED_EOF  # as by default before Python 3.11.3, which Debian 12 has
    with running_host(certificate) as host:
        host.scripts["/a"] = cut
        with pytest.raises(Interrupted):
            fetched(f"{host.url}/a", tls=trusting)


HEADS = st.lists(
    st.sampled_from(
        [
            *(
                b"HTTP/1.1 ",
                b"200 OK\r\n",
                b"302 x\r\n",
                b"Location: ",
                b"https://[::1/\r\n",
                b"/\xff\r\n",
                b"\r\n",
                b"5\r\n",
            ),
            *(
                b"Content-Length: ",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Encoding: br\r\n",
                b"Content-Type: \xff\r\n",
            ),
        ]
    )
    | st.binary(max_size=20)
)


@given(HEADS)
def test_whatever_a_host_says_is_a_file_or_one_of_our_errors(parts: list[bytes]) -> None:
    with running_host() as host:
        host.scripts = {path: says(*parts) for path in ("/a", "/")}
        with suppress(Left, Interrupted):
            fetched(f"{host.url}/a")

"""GET of a file from an address that a result names: anybody's, so nothing of it is trusted.

The address that was checked is the one connected to, at the first request and after each redirect; none of our headers
or keys are sent. What may take time is bounded by silence and by the least pace, not by length.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from email.message import Message
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import cast
from urllib.parse import quote, unquote, urljoin

from hookcast import __version__
from hookcast.media.addresses import Target, literal, target_of, usable
from hookcast.media.failures import Interrupted, Left, Reason
from hookcast.media.stopping import Stop
from hookcast.media.wire import MIN_BYTES, SILENCE_SECONDS, TooSlow, Wire
from hookcast.outgoing import tls_context

CONNECT_SECONDS = 10.0
HEAD_SECONDS = 30.0
MAX_REDIRECTS = 5

Resolve = Callable[[str, int], list[str]]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 421, 425, 429})
_DIGITS = re.compile(r"[0-9]{1,30}")
_NOT_QUOTED = "".join(map(chr, range(0x80))).replace(" ", "")
_CODINGS = {"Content-Encoding": ("", "identity"), "Transfer-Encoding": ("", "identity", "chunked")}


def resolve_by_system(host: str, port: int) -> list[str]:
    """Return a host's addresses. Raise OSError when there are none. The system's resolver has its own deadlines."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Download:
    """A file that has begun to come. `length` is None when the host did not say it."""

    def __init__(self, response: HTTPResponse, wire: Wire, name: str, max_bytes: int) -> None:
        self._response = response
        self._wire = wire
        self._max_bytes = max_bytes
        self.name = name
        self.content_type = response.headers.get("Content-Type")
        self.length = None if response.chunked else response.length
        self._unframed = self.length is None and not response.chunked  # ends with the connection
        self._received = 0
        self._check_size(self.length or 0)

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer, and return how many bytes are in it: fewer only at the end of the file.

        Raises Interrupted when the host stops before the end, is silent or too slow, or sends another length than it
        said; Left when the file is larger than allowed.
        """
        try:
            count = self._response.readinto(buffer) if self.length is None else self._exact(buffer, self.length)
        except IncompleteRead:
            raise Interrupted("The host closed the connection in the middle of the file.") from None
        except TooSlow:
            raise Interrupted(
                f"The host sent less than {MIN_BYTES >> 20} MiB in {SILENCE_SECONDS:.0f} seconds."
            ) from None
        except TimeoutError:
            raise Interrupted(f"The host was silent for {SILENCE_SECONDS:.0f} seconds.") from None
        except (OSError, HTTPException, ValueError) as error:
            raise Interrupted(f"The connection broke in the middle of the file: {_words(error)}.") from error
        if not count and not self._received and self._unframed:
            raise Interrupted("The host closed the connection before the file began.")  # or inside the answer's head
        self._received += count
        self._check_size(self._received)
        return count

    def _exact(self, buffer: memoryview, length: int) -> int:
        wanted = min(len(buffer), length - self._received)
        count = self._wire.reader.readinto(buffer[:wanted]) if wanted else 0
        if count < wanted:
            raise Interrupted(f"The host sent {self._received + count} of {length} bytes.")
        if self._received + count == length and self._wire.has_more():
            raise Interrupted(f"The host sent more than the {length} bytes that it announced.")
        return count

    def _check_size(self, count: int) -> None:
        if count > self._max_bytes:
            raise Left(Reason.TOO_BIG, f"The file is larger than {self._max_bytes} bytes.")


class Fetcher:
    """Fetches files. `allow_local` permits http and loopback addresses: for the emulated fal."""

    def __init__(
        self,
        *,
        allow_local: bool,
        max_bytes: int,
        resolve: Resolve = resolve_by_system,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow_local = allow_local
        self._max_bytes = max_bytes
        self._resolve = resolve
        self._tls = tls or tls_context()
        self._tls.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # set by Python before 3.11.3 (see _connect)
        self._clock = clock

    @contextmanager
    def get(self, url: str, stop: Stop) -> Iterator[Download]:
        """Request a file, follow redirects, and yield the answer once its head is there.

        Raises Left when the file is not to be had from there, Interrupted when another attempt may succeed, Stopped.
        """
        for _ in range(MAX_REDIRECTS + 1):
            target = target_of(url, allow_local=self._allow_local)
            with ExitStack() as held:
                response, wire = self._ask(target, stop, held)
                if response.status in _REDIRECTS and (location := response.headers.get("Location")):
                    url = _joined(url, location)
                    continue
                _check_status(response.status, response.headers)
                if not response.chunked:
                    response.length = _length(response.headers)
                yield Download(response, wire, _name(target.path), self._max_bytes)
                return
        raise Left(Reason.REDIRECTS, f"The address redirects more than {MAX_REDIRECTS} times.")

    def _ask(self, target: Target, stop: Stop, held: ExitStack) -> tuple[HTTPResponse, Wire]:
        """Send the request and read the answer's head; `held` closes the connection."""
        try:
            sock = self._connect(target, stop, held)
            wire = Wire(sock, clock=self._clock, head_seconds=HEAD_SECONDS)
            held.callback(wire.close)
            wire.send(_request(target))
            response = HTTPResponse(cast("socket.socket", wire), method="GET")  # takes nothing but its reader
            held.callback(response.close)
            _begin(response)
            wire.head_is_read()
        except TimeoutError:
            raise Interrupted("The host did not answer in time.") from None
        except (OSError, HTTPException, ValueError) as error:
            raise Interrupted(f"The host could not be asked: {_words(error)}.") from error
        return response, wire

    def _connect(self, target: Target, stop: Stop, held: ExitStack) -> socket.socket:
        stop.check()
        found = literal(target.host)
        resolved = [found] if found else self._resolve(target.host, target.port)
        addresses = usable(target, resolved, allow_local=self._allow_local)
        sock = held.enter_context(self._connected(addresses, target.port))
        held.enter_context(stop.watch(sock))
        if not target.tls:
            return sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the request waits for an ACK of the handshake
        # An end without TLS's own one is an error: else nobody would know that a file without a length was cut.
        secured = self._tls.wrap_socket(sock, server_hostname=target.host, suppress_ragged_eofs=False)
        held.enter_context(secured)
        held.enter_context(stop.watch(secured))
        return secured

    def _connected(self, addresses: list[str], port: int) -> socket.socket:
        """Connect to the first of the addresses that answers, in `CONNECT_SECONDS` altogether."""
        deadline = self._clock() + CONNECT_SECONDS
        for address in addresses[:-1]:
            with suppress(OSError):
                return socket.create_connection((address, port), max((deadline - self._clock()) / 2, 0.5))
        return socket.create_connection((addresses[-1], port), max(deadline - self._clock(), 0.5))


def _request(target: Target) -> bytes:
    lines = [
        f"GET {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: hookcast/{__version__}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


def _begin(response: HTTPResponse) -> None:
    """Read the answer's head, after interim ones (RFC 9110 section 15.2): http.client knows no other than 100."""
    response.begin()
    while 101 < response.status < 200:
        response.headers = None  # type: ignore[assignment] # as before the first head
        response.begin()


def _check_status(status: int, headers: Message) -> None:
    if status == 200:
        for name, known in _CODINGS.items():
            if (coding := ", ".join(headers.get_all(name, [])).strip().lower()) not in known:
                raise Left(Reason.ENCODED, f"The host sent the file encoded ({coding[:20]}), which was not asked for.")
        return
    if status >= 500 or status in _AGAIN:
        raise Interrupted(f"The host answered {status}.", _seconds(headers.get("Retry-After")))
    if status in {401, 403, 404, 410, 451}:
        raise Left(Reason.GONE, f"The file is not there any more: the host answered {status}.")
    raise Left(Reason.GONE, f"The host answered {status} instead of the file.")


def _length(headers: Message) -> int | None:
    """Return the length that the host announced, perhaps several times. Raise Interrupted when it is none.

    RFC 9112 section 6.3: such an answer is discarded, since nobody would know that it was cut.
    """
    given = {text.strip() for line in headers.get_all("Content-Length", []) for text in line.split(",")}
    if not given:
        return None
    text = given.pop()
    if given or not _DIGITS.fullmatch(text):
        raise Interrupted("The host announced no valid length.")
    return int(text)


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None for a date, which hosts of files do not send."""
    text = (retry_after or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _joined(url: str, location: str) -> str:
    written = quote(location.encode("latin-1"), safe=_NOT_QUOTED)  # blanks and UTF-8, as browsers do
    try:
        return urljoin(url, written)
    except ValueError:
        raise Left(Reason.REFUSED, "Hookcast does not fetch from this address: its redirect is not valid.") from None


def _name(path: str) -> str:
    return unquote(path.partition("?")[0].rpartition("/")[2])


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".")[:200]

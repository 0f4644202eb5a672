"""One PUT of a file of known length to a presigned URL."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from hookcast.media.failures import Stopped, StorageFailed
from hookcast.media.stopping import Stop
from hookcast.outgoing import tls_context

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0  # also for the answer, which comes once the storage has the file safe
PIECE = 256 * 1024  # bytes sent under one deadline
_CODE = re.compile(rb"<Code>([\w.-]{1,100})</Code>")


class Upload:
    """An upload that has begun. The storage shows the file once all of it has come, or never."""

    def __init__(self, url: str, length: int, headers: Mapping[str, str], stop: Stop) -> None:
        parts = urlsplit(url)
        self._held = contextlib.ExitStack()
        self._stop = stop
        self._connection = connection_to(parts)
        self._held.callback(self._connection.close)
        with self._failures():
            self._connection.connect()
            self._held.enter_context(stop.watch(self._connection.sock))
            self._connection.sock.settimeout(SILENCE_SECONDS)
            self._connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
            for name, value in {**headers, "Content-Length": str(length)}.items():
                self._connection.putheader(name, value)
            self._connection.endheaders()

    def send(self, data: memoryview) -> None:
        """Send the next bytes. Raises StorageFailed or Stopped."""
        with self._failures():
            for at in range(0, len(data), PIECE):
                self._connection.sock.sendall(data[at : at + PIECE])

    def finish(self) -> None:
        """Wait for the storage to have the whole file. Raises StorageFailed or Stopped."""
        with self._failures():
            _check(self._connection.getresponse())

    def close(self) -> None:
        """Close the connection; before `finish`, the storage forgets the file. Idempotent."""
        self._held.close()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, HTTPException) as error:
            self._stop_or_close()
            text = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise StorageFailed(f"The bucket of kept files broke off an upload: {self._reason() or text}.") from error
        except (StorageFailed, Stopped):
            self.close()
            raise

    def _stop_or_close(self) -> None:
        try:
            self._stop.check()
        except Stopped:
            self.close()
            raise

    def _reason(self) -> str | None:
        """Return what the storage answered before the end of the upload, and close the connection."""
        if self._connection.sock is None:  # not connected yet
            return None
        try:
            self._connection.sock.settimeout(1.0)
            _check(self._connection.getresponse())
        except StorageFailed as error:
            return str(error).rstrip(".")
        except (OSError, HTTPException):
            return None
        finally:
            self.close()
        return None


def connection_to(parts: SplitResult) -> HTTPConnection:
    """Return a connection to the server of a URL, not open yet."""
    if parts.scheme == "https":
        return HTTPSConnection(parts.netloc, timeout=CONNECT_SECONDS, context=tls_context())
    return HTTPConnection(parts.netloc, timeout=CONNECT_SECONDS)


def _check(response: HTTPResponse) -> None:
    body = response.read(4096)
    if response.status not in {200, 201}:
        code = _CODE.search(body)
        detail = f" ({code[1].decode()})" if code else ""
        raise StorageFailed(f"The bucket of kept files answered {response.status}{detail} to an upload.")

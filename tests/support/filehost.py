"""A host of files that says exactly what a test tells it to, on a real port."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 60

Script = Callable[[socket.socket], None]


def says(*parts: bytes) -> Script:
    """Send these bytes, then close."""

    def script(sock: socket.socket) -> None:
        for part in parts:
            sock.sendall(part)

    return script


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = -1) -> bytes:
    """Return an answer; its Content-Length is that of the body unless given, None for none."""
    named = [f"Content-Length: {len(body) if length == -1 else length}"] if length is not None else []
    return "\r\n".join([f"HTTP/1.1 {status}", *named, *headers, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    """Return a redirect."""
    return answer(b"", f"Location: {location}", status=status)


class FileHost:
    """Answers each path with its script; remembers the requests."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.scripts: dict[str, Script] = {}
        self.otherwise = says(answer(b"", status="404 Not Found"))
        self.requests: list[str] = []
        self.ended = threading.Event()  # set when the test is over: for scripts that wait
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []

    def serve(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(sock,))
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End all scripts."""
        self.ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def _answer(self, sock: socket.socket) -> None:
        with suppress(OSError, ValueError), sock:  # ValueError: TLS on a socket that a script has shut down
            sock.settimeout(SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = self._tls.wrap_socket(sock, server_side=True) if self._tls else sock
            with wrapped:
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    if not (data := wrapped.recv(1)):  # not a byte of the body, which is the script's
                        return
                    request += data
                self.requests.append(request.decode())
                path = request.split(b" ")[1].decode()
                self.scripts.get(path, self.otherwise)(wrapped)
                if isinstance(wrapped, ssl.SSLSocket):
                    wrapped.unwrap()


@contextmanager
def running_host(certificate: Path | None = None) -> Iterator[FileHost]:
    """Run a host; with a certificate (and its key in the same file), over TLS."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    host = FileHost(tls)
    accepting = threading.Thread(target=host.serve)
    accepting.start()
    try:
        yield host
    finally:
        host.close()
        accepting.join(SECONDS)

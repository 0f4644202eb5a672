"""JWKS that a thread serves: fal's for tests without an event loop, and those of identity providers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nacl.signing import SigningKey

from support.fal import jwk


@contextmanager
def published_to_threads(key: SigningKey) -> Iterator[str]:
    """Serve a JWKS with this key from a thread inside the block, and yield its URL."""
    with served_by_thread(json.dumps({"keys": [jwk(key)]}).encode()) as address:
        yield f"{address}/jwks.json"


@contextmanager
def served_by_thread(body: bytes) -> Iterator[str]:
    """Answer each GET with this JSON from a thread inside the block, and yield the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

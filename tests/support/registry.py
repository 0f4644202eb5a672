"""An npm registry with exactly one package."""

import base64
import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread


@contextmanager
def running_registry(package: bytes) -> Iterator[str]:
    """Run the registry inside the block, and yield its URL."""
    handler = type("Handler", (_Handler,), {"package": package})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    package: bytes

    def do_GET(self) -> None:
        """Respond with the package or its metadata."""
        with tarfile.open(fileobj=BytesIO(self.package)) as archive:
            described = archive.extractfile("package/package.json")
            assert described is not None
            manifest = json.load(described)
        answers = {f"/{manifest['name']}": self._about(manifest), "/package.tgz": self.package}
        body = answers.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"{}")

    def _about(self, manifest: dict[str, object]) -> bytes:
        assert isinstance(self.server, ThreadingHTTPServer)
        digest = base64.b64encode(hashlib.sha512(self.package).digest()).decode()
        dist = {"tarball": f"http://127.0.0.1:{self.server.server_port}/package.tgz", "integrity": f"sha512-{digest}"}
        version = str(manifest["version"])
        versions = {version: {**manifest, "dist": dist}}
        return json.dumps({"name": manifest["name"], "dist-tags": {"latest": version}, "versions": versions}).encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""

"""A stand-in for Google Cloud Storage: the calls of its XML API that object_store makes, and nothing else.

It stands for what the documentation of the XML API says of them: objects that are seen whole or not at all, copies
inside the bucket that keep their type, listings in pages, errors with their codes, the service account's self-signed
tokens, and links with a V4 signature. Both are verified with the account's public key. It does not know generations,
permissions, metadata and redirects; Google's own server may differ in what nobody has written down.
"""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SECONDS = 120
BUCKET = "media"
PAGE = 3  # names in a page of a listing; Google's has 1,000
SIGNED_HOST = "storage.googleapis.com"  # by object_store, whatever the endpoint
EMAIL = "hookcast@test.iam.gserviceaccount.com"


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Thing(NamedTuple):
    """A stored object."""

    content: bytes
    content_type: str
    modified: datetime


class Account:
    """A service account: its key, and the file that names it."""

    def __init__(self, file: Path) -> None:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.public = key.public_key()
        self.file = file
        named = {"private_key": pem.decode(), "private_key_id": "1", "client_email": EMAIL, "type": "service_account"}
        file.write_text(json.dumps(named))


class GoogleBucket:
    """The bucket. See KeepingServer; `things` are the objects by key."""

    atomic = True
    refusal = "AccessDenied|SignatureDoesNotMatch"

    def __init__(self, port: int, account: Account, stranger: Account) -> None:
        self.port = port
        self.account = account
        self.credentials = {"GOOGLE_APPLICATION_CREDENTIALS": str(account.file)}
        self.wrong_credentials = {"GOOGLE_APPLICATION_CREDENTIALS": str(stranger.file)}
        self.things: dict[str, Thing] = {}

    def url(self, prefix: str, endpoint: str | None = None, name: str = BUCKET) -> str:
        """See KeepingServer."""
        return f"gs://{name}/{prefix}?endpoint={endpoint or f'http://127.0.0.1:{self.port}'}"

    def keys_under(self, prefix: str) -> list[str]:
        """See KeepingServer."""
        return sorted(key for key in self.things if key.startswith(f"{prefix}/"))

    def read(self, key: str) -> tuple[bytes, str]:
        """See KeepingServer."""
        return self.things[key].content, self.things[key].content_type


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    bucket: GoogleBucket

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection: clients keep theirs open, and its thread waits for more."""
        self._connections.append(request)
        super().process_request(request, client_address)

    def server_close(self) -> None:
        """End all connections and their threads."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self._query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if len(self._content) < int(self.headers.get("Content-Length") or 0):
            self.close_connection = True  # the client broke off
            return
        try:
            self._check(parts.path)
            self._do(unquote(parts.path).removeprefix("/"))
        except Refused as refused:
            body = f"<?xml version='1.0'?><Error><Code>{refused.code}</Code><Message>No.</Message></Error>"
            self._send(refused.status, body.encode(), "application/xml")

    do_GET = do_HEAD = do_PUT = do_DELETE = _answer  # noqa: N815

    def _do(self, path: str) -> None:
        name, _, key = path.partition("/")
        things = self.server.bucket.things
        if name != BUCKET:
            raise Refused(404, "NoSuchBucket")
        if not key and self.command == "GET" and self._query.get("list-type") == "2":
            return self._list()
        if self.command == "PUT":
            things[key] = self._put()
            return self._send(200)
        if key not in things:
            raise Refused(404, "NoSuchKey")
        if self.command == "DELETE":
            del things[key]
            return self._send(204)
        return self._send(200, things[key].content, things[key].content_type, things[key].modified)

    def _put(self) -> Thing:
        now = datetime.now(UTC)
        source = unquote(self.headers.get("x-goog-copy-source") or "")
        if not source:
            return Thing(self._content, self.headers.get("Content-Type") or "application/octet-stream", now)
        if (found := self.server.bucket.things.get(source.removeprefix(f"{BUCKET}/"))) is None:
            raise Refused(404, "NoSuchKey")
        return found._replace(modified=now)

    def _list(self) -> None:
        after = self._query.get("continuation-token", "")
        things = sorted(self.server.bucket.things.items())
        found = [item for item in things if item[0].startswith(self._query.get("prefix", "")) and item[0] > after]
        page, rest = found[:PAGE], found[PAGE:]
        entries = (
            f"<Contents><Key>{escape(key)}</Key><LastModified>{thing.modified:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified>"
            f'<ETag>"1"</ETag><Size>{len(thing.content)}</Size></Contents>'
            for key, thing in page
        )
        more = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if rest else ""
        body = f"<?xml version='1.0'?><ListBucketResult>{''.join(entries)}{more}</ListBucketResult>"
        self._send(200, body.encode(), "application/xml")

    def _send(self, status: int, body: bytes = b"", kind: str = "text/html", at: datetime | None = None) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", kind)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", f"{at or datetime.now(UTC):%a, %d %b %Y %H:%M:%S GMT}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _check(self, path: str) -> None:
        """Verify who asks."""
        if "X-Goog-Signature" in self._query:
            return self._check_link(path)
        try:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            jwt.decode(token, self.server.bucket.account.public, ["RS256"], issuer=EMAIL)
        except jwt.InvalidTokenError:
            raise Refused(401, "AccessDenied") from None
        return None

    def _check_link(self, path: str) -> None:
        """Verify a V4 signature, as https://cloud.google.com/storage/docs/authentication/canonical-requests says."""
        signature = bytes.fromhex(self._query.pop("X-Goog-Signature"))
        began = datetime.strptime(self._query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) > began + timedelta(seconds=int(self._query["X-Goog-Expires"])):
            raise Refused(400, "ExpiredToken")
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in sorted(self._query.items()))
        request = f"{self.command}\n{path}\n{query}\nhost:{SIGNED_HOST}\n\nhost\nUNSIGNED-PAYLOAD"
        scope = self._query["X-Goog-Credential"].partition("/")[2]
        digest = hashlib.sha256(request.encode()).hexdigest()
        signed = f"GOOG4-RSA-SHA256\n{self._query['X-Goog-Date']}\n{scope}\n{digest}".encode()
        try:
            self.server.bucket.account.public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused(403, "SignatureDoesNotMatch") from None

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def running_gcs(folder: Path) -> Iterator[GoogleBucket]:
    """Run the stand-in, and yield its bucket. The service account's file is in the folder."""
    with _Server() as server:
        server.bucket = GoogleBucket(
            server.server_port, Account(folder / "account.json"), Account(folder / "stranger.json")
        )
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.bucket
        finally:
            server.shutdown()
            thread.join(SECONDS)

"""Real servers of the S3 protocol, independent of each other, and AWS's own client."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from support.ports import quiet_port

SECONDS = 120
BUCKET = "media"
S3RVER = Path(__file__).parents[1] / "clients/node_modules/.bin/s3rver"
# What s3rver accepts; moto accepts anything.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_REGION": "us-east-1"}
WRONG = {"AWS_ACCESS_KEY_ID": "nobody"}


class KeepingServer(Protocol):
    """A bucket on a server, seen by a program that knows nothing of Hookcast."""

    atomic: bool  # what came of a PUT that broke off is never seen, as in S3
    credentials: dict[str, str]  # variables of the environment
    wrong_credentials: dict[str, str]  # which the server refuses
    refusal: str  # the codes of its refusal, a pattern

    def url(self, prefix: str, endpoint: str | None = None, name: str = BUCKET) -> str:
        """Return the setting that names a prefix of this bucket, or of another one; `endpoint` is that of a proxy."""

    def keys_under(self, prefix: str) -> list[str]:
        """Return all keys under a prefix, of files and of drafts."""

    def read(self, key: str) -> tuple[bytes, str]:
        """Return a file's content and type."""


class Bucket:
    """A bucket of S3. See KeepingServer. `client` is AWS's client for Python, unchanged."""

    credentials = CREDENTIALS
    wrong_credentials = WRONG
    refusal = "InvalidAccessKeyId"

    def __init__(self, port: int, *, atomic: bool) -> None:
        self.atomic = atomic
        self.port = port
        self._endpoint = f"http://127.0.0.1:{port}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self._endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_REGION"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def url(self, prefix: str, endpoint: str | None = None, name: str = BUCKET) -> str:
        """See KeepingServer."""
        return f"s3://{name}/{prefix}?endpoint={endpoint or self._endpoint}"

    def keys_under(self, prefix: str) -> list[str]:
        """See KeepingServer."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [entry["Key"] for entry in found.get("Contents", [])]

    def open_uploads(self) -> list[str]:
        """Return the keys of multipart uploads that have not ended."""
        found = self.client.list_multipart_uploads(Bucket=BUCKET)
        return [upload["Key"] for upload in found.get("Uploads", [])]

    def read(self, key: str) -> tuple[bytes, str]:
        """See KeepingServer."""
        found = self.client.get_object(Bucket=BUCKET, Key=key)
        return found["Body"].read(), found["ContentType"]


@contextmanager
def running_moto() -> Iterator[Bucket]:
    """Run moto's server."""

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: object) -> None:
            """Log nothing."""

    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bucket = Bucket(server.server_port, atomic=True)
        bucket.client.create_bucket(Bucket=BUCKET)
        yield bucket
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()


@contextmanager
def running_s3rver(folder: Path) -> Iterator[Bucket]:
    """Run s3rver, which is written in JavaScript."""
    port = quiet_port()
    command = [str(S3RVER), "--directory", str(folder), "--address", "127.0.0.1", "--port", str(port), "--silent"]
    command += ["--configure-bucket", BUCKET]
    environment = {**os.environ, "NODE_NO_WARNINGS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            bucket = Bucket(port, atomic=False)
            _wait(bucket, server)
            yield bucket
        finally:
            server.terminate()


def _wait(bucket: Bucket, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            bucket.client.head_bucket(Bucket=BUCKET)
        except OSError:
            time.sleep(0.05)
        except Exception as error:
            if "connect" not in str(error).lower():
                raise
            time.sleep(0.05)
        else:
            return
    raise AssertionError("s3rver did not start")

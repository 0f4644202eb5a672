"""Services beside the server: PostgreSQL, Redis, and fal's signing keys. They run on the load generator's core."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

from bench.process import cpu_seconds, family
from bench.signing import jwks
from support.postgres import running_postgres
from support.redis import Redis

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Database:
    """`url` is None for SQLite in the server's folder; `pid` is PostgreSQL's postmaster."""

    url: str | None = None
    pid: int | None = None

    def cpu_seconds(self) -> float:
        """Return user plus system time of the database's own processes; SQLite has none."""
        return cpu_seconds(family(self.pid)) if self.pid else 0.0


@contextmanager
def databases(kind: str) -> Iterator[Database]:
    """Yield an empty database with durable commits (fsync)."""
    if kind == SQLITE:
        yield Database()
        return
    with running_postgres(fsync=True) as server:
        pid = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        yield Database(server.create("bench"), pid)


def redis_cpu_seconds(server: Redis) -> float:
    """Return user plus system time of a Redis server."""
    facts = dict(line.strip().split(":") for line in server.cli("info", "cpu").splitlines() if ":" in line)
    return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])


@contextmanager
def serving_keys() -> Iterator[str]:
    """Serve a JWKS with the key that signs the webhooks, and yield its URL."""
    with HTTPServer(("127.0.0.1", 0), _Keys) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class _Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = jwks()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

"""Services beside the server: PostgreSQL, Redis, and fal's signing keys. They run on the load generator's core."""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from bench.load import Figures
from bench.process import cpu_seconds, family
from bench.signing import jwks
from support.postgres import running_postgres
from support.redis import Redis

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
SQL_SECONDS = 30
_COUNTERS = (
    "SELECT xact_commit + xact_rollback, tup_inserted + tup_updated + tup_deleted, "
    "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') FROM pg_stat_database WHERE datname = current_database()"
)


@dataclass(frozen=True, slots=True)
class Database:
    """`url` is None for SQLite in the server's folder; `pid` is PostgreSQL's postmaster."""

    url: str | None = None
    pid: int | None = None

    def cpu_seconds(self) -> float:
        """Return user plus system time of the database's own processes; SQLite has none."""
        return cpu_seconds(family(self.pid)) if self.pid else 0.0

    def counters(self) -> Figures:
        """Return how many transactions PostgreSQL has ended, rows it has written, and bytes of WAL, so far.

        A statement that is in none is one, and a read's may be rolled back.
        """
        command = [_psql(), "--tuples-only", "--no-align", "--command", _COUNTERS, str(self.url)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SQL_SECONDS, check=True)
        transactions, rows, wal = map(float, done.stdout.strip().split("|"))
        return {"transactions": transactions, "rows": rows, "wal_bytes": wal}


@contextmanager
def databases(kind: str) -> Iterator[Database]:
    """Yield an empty database with durable commits (fsync)."""
    if kind == SQLITE:
        yield Database()
        return
    with running_postgres(fsync=True) as server:
        pid = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        yield Database(server.create("bench"), pid)


def redis_counters(servers: Sequence[Redis]) -> Figures:
    """Return what these Redis servers have used and done so far, added up."""
    found: Figures = dict.fromkeys(("cpu_seconds", "published", "subscribed", "sent_bytes", "memory_bytes"), 0.0)
    for server in servers:
        facts = dict(line.strip().split(":", 1) for line in server.cli("info", "all").splitlines() if ":" in line)
        found["cpu_seconds"] += float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])
        found["published"] += _calls(facts, "publish") + _calls(facts, "spublish")
        found["subscribed"] += _calls(facts, "subscribe") + _calls(facts, "ssubscribe")
        found["sent_bytes"] += float(facts["total_net_output_bytes"])
        found["memory_bytes"] += float(facts["used_memory"])
    return found


def _calls(facts: Mapping[str, str], command: str) -> float:
    """Return how often a command was called; INFO says `calls=N,usec=…`."""
    return float(facts.get(f"cmdstat_{command}", "calls=0").partition(",")[0].removeprefix("calls="))


def _psql() -> str:
    return str(max(Path("/usr/lib/postgresql").glob("*/bin/psql")))


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

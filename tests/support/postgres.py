"""A separate PostgreSQL server: Debian's programs, a temporary folder, a free loopback port."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import quiet_port

SECONDS = 120
OPTIONS = "-c listen_addresses=127.0.0.1 -c max_connections=200 -c unix_socket_directories="


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server, which may be stopped and restarted."""

    folder: Path
    port: int
    # Tests of durability kill processes, never the machine: the operating system keeps what PostgreSQL has written.
    fsync: bool = False

    def url(self, database: str) -> str:
        """Return the URL of a database, in the form of Hookcast's settings."""
        return f"postgresql://hookcast@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, source: str | None = None) -> str:
        """Create a database, empty or a copy of the database `source`, and return its URL."""
        words = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "hookcast", "-T", source or "template1")
        _run(_program("createdb"), *words, database)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop the database, disconnecting its clients."""
        _run(_program("dropdb"), "--force", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hookcast", database)

    def sql(self, *statements: str, database: str = "postgres") -> None:
        """Run statements, each in its own transaction."""
        words = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "hookcast", "-v", "ON_ERROR_STOP=1", "-q")
        _run(_program("psql"), *words, *(f"-c{statement}" for statement in statements), database)

    def start(self) -> None:
        """Start or restart the server, and wait until it accepts connections."""
        options = f"{OPTIONS}{self.folder} -p {self.port} -c fsync={'on' if self.fsync else 'off'}"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        _run(_program("pg_ctl"), "-D", data, "-o", options, "-l", log, "-w", "-t", str(SECONDS), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; `immediate` simulates a crash."""
        data = str(self.folder / "data")
        _run(_program("pg_ctl"), "-D", data, "-m", mode, "-w", "-t", str(SECONDS), "stop")

    def fence(self) -> None:
        """Take no writes any more, on open connections either, and live on: what an old primary may do."""
        self.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby the primary, and wait until it takes writes."""
        _run(_program("pg_ctl"), "-D", str(self.folder / "data"), "-w", "-t", str(SECONDS), "promote")

    @property
    def running(self) -> bool:
        """True while the server runs; it exits by itself when it cannot write its WAL."""
        return (self.folder / "data" / "postmaster.pid").exists() and bool(self._processes())

    def switch_log(self) -> None:
        """Switch to a new WAL file; any failure shows later."""
        words = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "hookcast", "-c", "SELECT pg_switch_wal()", "postgres")
        subprocess.run([_program("psql"), *words], capture_output=True, timeout=SECONDS, check=False)

    def limit_files(self, size: int | None) -> None:
        """Limit the size of the server's files in bytes, None = unlimited (setrlimit(2), RLIMIT_FSIZE)."""
        for pid in self._processes():
            command = ("prlimit", "--pid", str(pid), f"--fsize={'unlimited' if size is None else size}:")
            subprocess.run(
                [*_as_postgres(), *command], capture_output=True, timeout=SECONDS, check=False
            )  # some processes exit meanwhile

    def _processes(self) -> list[int]:
        """Return the postmaster's pid and its children's (proc(5)); postmaster first: new children inherit limits."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return []
        return [pid, *map(int, children.split())]


@contextmanager
def running_postgres(parent: Path | None = None, *, fsync: bool = False) -> Iterator[Postgres]:
    """Run a server inside the block, in a temporary folder below `parent`."""
    with _folder("hookcast-postgres-", parent) as folder:
        _run(_program("initdb"), "-D", str(folder / "data"), "-U", "hookcast", "-A", "trust", "-E", "UTF8", "--no-sync")
        with _started(Postgres(folder, quiet_port(), fsync)) as server:
            # The default search path begins with a schema of the user's name, which is Hookcast's.
            server.sql("ALTER ROLE hookcast SET search_path TO public")
            yield server


@contextmanager
def running_standby(primary: Postgres) -> Iterator[Postgres]:
    """Run a standby inside the block; from then on the primary commits nothing that the standby does not have."""
    with _folder("hookcast-standby-") as folder:
        source = f"host=127.0.0.1 port={primary.port} user=hookcast"
        _run(_program("pg_basebackup"), "-D", str(folder / "data"), "-d", source, "-R", "-c", "fast", "--no-sync")
        with _started(Postgres(folder, quiet_port(), primary.fsync)) as server:
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            yield server


@contextmanager
def _folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder that PostgreSQL may use, and remove it at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        if os.getuid() == 0:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _started(server: Postgres) -> Iterator[Postgres]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found, f"PostgreSQL's {name} is missing: apt-get install postgresql"
    return str(found[-1])


def _as_postgres() -> tuple[str, ...]:
    """Return the command prefix that drops root, which PostgreSQL refuses to run as."""
    return ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()


def _run(*command: str) -> None:
    done = subprocess.run(
        [*_as_postgres(), *command], capture_output=True, text=True, timeout=SECONDS, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr

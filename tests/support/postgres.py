"""A PostgreSQL server of one's own: Debian's programs, a folder that goes away, a free port on loopback."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60
OPTIONS = "-c listen_addresses=127.0.0.1 -c max_connections=200 -c unix_socket_directories="


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    folder: Path
    port: int
    # Tests of durability kill Hookcast, never the machine: the operating system keeps what PostgreSQL has written.
    fsync: bool = False

    def url(self, database: str) -> str:
        """The address of one database, as a user of Hookcast writes it."""
        return f"postgresql://hookcast@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database, answer its address."""
        _run(_program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "hookcast", database)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove it, whoever is still connected."""
        _run(_program("dropdb"), "--force", "-h", "127.0.0.1", "-p", str(self.port), "-U", "hookcast", database)

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        options = f"{OPTIONS}{self.folder} -p {self.port} -c fsync={'on' if self.fsync else 'off'}"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        _run(_program("pg_ctl"), "-D", data, "-o", options, "-l", log, "-w", "-t", str(SECONDS), "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is a crash."""
        data = str(self.folder / "data")
        _run(_program("pg_ctl"), "-D", data, "-m", mode, "-w", "-t", str(SECONDS), "stop")


@contextmanager
def running_postgres(*, fsync: bool = False) -> Iterator[Postgres]:
    """A server for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-postgres-"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Postgres(folder, port, fsync)
    try:
        if os.getuid() == 0:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        _run(_program("initdb"), "-D", str(folder / "data"), "-U", "hookcast", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found, f"PostgreSQL's {name} is missing: apt-get install postgresql"
    return str(found[-1])


def _run(*command: str) -> None:
    as_postgres = ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()
    done = subprocess.run(
        [*as_postgres, *command], capture_output=True, text=True, timeout=SECONDS, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr

"""PgBouncer in transaction mode, like Supabase's pooler: each transaction may use a different connection."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ports import quiet_port
from support.postgres import Postgres

SECONDS = 120
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=hookcast
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_reset_query_always = 1
"""


@contextmanager
def running_pooler(server: Postgres) -> Iterator[int]:
    """Run a pooler in front of the server, and yield its port."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-pooler-"))
    port = quiet_port()
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(server=server.port, port=port))
    as_postgres = []
    if os.getuid() == 0:  # PgBouncer refuses to run as root
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    command = [*as_postgres, "/usr/sbin/pgbouncer", "--quiet", str(folder / "pgbouncer.ini")]
    process = subprocess.Popen(command, cwd=folder)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(SECONDS)
        shutil.rmtree(folder)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("pgbouncer did not start")

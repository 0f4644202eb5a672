"""Separate Redis servers, single or clustered: Debian's redis-server on free loopback ports."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from support.ports import quiet_port

SECONDS = 120
NODE_TIMEOUT = "1000"  # ms of silence after which a primary is replaced
PRIMARIES = 3
USER = "hookcast"
# The ACL rules of docs/operations.md.
RIGHTS = (
    "resetchannels &hookcast &job:* &group:* &owner:* &all:* -@all "
    "+ping +publish +subscribe +unsubscribe +spublish +ssubscribe +sunsubscribe +cluster|slots"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A server's authentication: none, a password, a user with few rights, and TLS."""

    password: str = field(default="", repr=False)
    user: str = ""
    certificate: Path | None = None  # with its key, in one file
    rights: str = RIGHTS  # of the user

    def options(self, port: int) -> list[str]:
        """Return the server's options."""
        found = ["--port", str(port)]
        if self.certificate:
            file = str(self.certificate)
            found = ["--port", "0", "--tls-port", str(port), "--tls-cert-file", file, "--tls-key-file", file]
            found += ["--tls-ca-cert-file", file, "--tls-auth-clients", "no"]
            found += ["--tls-cluster", "yes", "--tls-replication", "yes"]
        if self.user:
            found += ["--user", "default", "off", "--user", self.user, "on", f">{self.password}", *self.rights.split()]
        elif self.password:
            found += ["--requirepass", self.password, "--masterauth", self.password]
        return found

    def cli(self, port: int) -> list[str]:
        """Return redis-cli's options."""
        found = ["-p", str(port)]
        if self.certificate:
            found += ["--tls", "--cacert", str(self.certificate)]
        if self.password:
            found += ["--no-auth-warning", "-a", self.password, *(("--user", self.user) if self.user else ())]
        return found

    def url(self, address: str, *, cluster: bool = False) -> str:
        """Return the URL in the form of Hookcast's settings."""
        scheme = ("rediss" if self.certificate else "redis") + ("+cluster" if cluster else "")
        who = f"{self.user}:{quote(self.password, safe='')}@" if self.password else ""
        return f"{scheme}://{who}{address}" + (f"?ssl_ca_certs={self.certificate}" if self.certificate else "")


OPEN = Entry()


@dataclass
class Redis:
    """One server, which may be stopped and restarted."""

    port: int
    folder: Path
    options: tuple[str, ...] = ()
    entry: Entry = OPEN
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The server's URL."""
        return self.entry.url(f"127.0.0.1:{self.port}")

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = ["redis-server", *self.entry.options(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning", *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert self.cli("ping", tries=200) == "PONG"

    def stop(self) -> None:
        """Kill the server. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None

    def freeze(self) -> None:
        """Stop the process with SIGSTOP: it answers nothing, and its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def cli(self, *words: str, tries: int = 1) -> str:
        """Run redis-cli, and return its output; try up to `tries` times while it is empty."""
        said = ""
        for _ in range(tries):
            command = ["redis-cli", *self.entry.cli(self.port), *words]
            said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False).stdout.strip()
            if said:
                break
        return said


@contextmanager
def running_redis(entry: Entry = OPEN) -> Iterator[Redis]:
    """Run one server inside the block."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-redis-"))
    server = Redis(quiet_port(), folder, entry=entry)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@dataclass(frozen=True, slots=True)
class Member:
    """A server's entry in CLUSTER NODES."""

    server: Redis
    name: str
    fine: bool
    slots: bool
    primary: str  # the name of its primary; "-" = it is a primary


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster whose servers may be stopped, frozen and restarted; primaries and replicas."""

    servers: list[Redis]

    @property
    def url(self) -> str:
        """The URL of one server, from which clients discover the others."""
        return self.servers[0].entry.url(f"127.0.0.1:{self.servers[0].port}", cluster=True)

    def primaries(self) -> list[Redis]:
        """Return the servers that hold slots."""
        return [member.server for member in self._members() if member.slots]

    def replica_of(self, primary: Redis) -> Redis:
        """Return the primary's only replica."""
        members = self._members()
        name = next(member.name for member in members if member.server is primary)
        return next(member.server for member in members if member.primary == name)

    def wait_for_failover(self, gone: Redis) -> None:
        """Wait until other servers hold the slots of `gone`, which does not answer."""
        asked = next(server for server in self.servers if server is not gone)
        _until(lambda: len([member for member in self._members(asked) if member.slots and member.fine]) == PRIMARIES)

    def wait_until_whole(self) -> None:
        """Wait until every server sees the complete cluster, each primary with its replica in sync."""
        _until(lambda: all(self._whole(server) for server in self.servers))

    def _whole(self, asked: Redis) -> bool:
        members = self._members(asked)
        replicas = [member for member in members if member.primary != "-"]
        fine = len(members) == len(self.servers) and all(member.fine for member in members)
        with_slots = sum(member.slots for member in members)
        in_step = all("connected" in member.server.cli("role").splitlines() for member in replicas)
        return fine and in_step and with_slots == PRIMARIES and len(replicas) == len(members) - PRIMARIES

    def _members(self, asked: Redis | None = None) -> list[Member]:
        """Parse CLUSTER NODES (Redis documentation): id, address, flags, primary, pings, epoch, link, slots."""
        by_port = {server.port: server for server in self.servers}
        found = []
        for line in (asked or self.servers[0]).cli("cluster", "nodes").splitlines():
            name, address, flags, primary, _, _, _, link, *slots = line.split()
            port = int(address.partition("@")[0].rpartition(":")[2])
            fine = "fail" not in flags and (link == "connected" or "myself" in flags)
            found.append(Member(by_port[port], name, fine, bool(slots), primary))
        return found


def _until(condition: Callable[[], bool]) -> None:
    """Poll the condition without a pause: each check runs redis-cli, which is slow enough."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the cluster did not become what it should"


@contextmanager
def running_cluster(entry: Entry = OPEN, *, replicas: int = 0) -> Iterator[Cluster]:
    """Run three primaries that share the slots, each with `replicas` replicas."""
    folder = Path(tempfile.mkdtemp(prefix="hookcast-cluster-"))
    servers = []
    count = PRIMARIES * (1 + replicas)
    try:
        ports = [quiet_port() for _ in range(2 * count)]
        for port, bus in zip(ports[:count], ports[count:], strict=True):
            (folder / str(port)).mkdir()
            options = (
                *("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", NODE_TIMEOUT),
                *("--repl-diskless-sync-delay", "0"),  # a replica that never synchronized cannot take over
            )
            servers.append(Redis(port, folder / str(port), options, entry))
            servers[-1].start()
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        command = ["redis-cli", *entry.cli(ports[0]), "--cluster", "create", *addresses]
        command += ["--cluster-replicas", str(replicas), "--cluster-yes"]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=SECONDS, check=True)
        cluster = Cluster(servers)
        cluster.wait_until_whole()
        yield cluster
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)

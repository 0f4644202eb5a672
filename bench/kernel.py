"""The kernel's memory of a stream: the objects of its socket, and what is queued in it."""

import contextlib
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

OF_SOCKETS = ("TCP", "sock_inode_cache", "eventpoll_epi")  # caches that hardly anything else uses
OF_FILES = ("filp", "dentry")  # one of each for a socket, too; many other things have them
QUEUED = re.compile(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f\d+,w(\d+),o(\d+),bl(\d+)")  # ss(8): sk_meminfo
SECONDS = 30


class Cache(NamedTuple):
    """A slab cache: how many objects are in use, and the bytes that each takes with its share of the slab's rest."""

    objects: int
    bytes_each: float


Caches = dict[str, Cache]


def caches() -> Caches:
    """Return the caches of which sockets take objects (slabinfo(5)); none unless root asks."""
    found: Caches = {}
    with contextlib.suppress(PermissionError):
        for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
            name, active, _, _, in_slab, pages, *_ = line.split()
            if name in {*OF_SOCKETS, *OF_FILES}:
                found[name] = Cache(int(active), int(pages) * os.sysconf("SC_PAGE_SIZE") / int(in_slab))
    return found


def stream_kib(before: Caches, after: Caches, streams: int) -> float:
    """Return the KiB of one end of a connection, when `streams` were opened in between; on loopback both ends count."""
    both = sum((after[name].objects - before[name].objects) * after[name].bytes_each for name in OF_SOCKETS)
    return (both / 2 / streams + sum(after[name].bytes_each for name in OF_FILES)) / 1024


def queued_kib(port: int) -> float:
    """Return the KiB that are queued in the server's sockets of this port, both ways."""
    command = ["/usr/bin/ss", "--tcp", "--numeric", "--memory", "--no-header", f"sport = :{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    return sum(sum(map(int, found)) for found in QUEUED.findall(done.stdout)) / 1024

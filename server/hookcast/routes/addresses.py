"""Client addresses of requests, for limits and logs.

`scope["client"]` is the peer, or the client that a trusted proxy forwards (HOOKCAST_FORWARDED_ALLOW_IPS).
"""

import ipaddress
import socket
from functools import lru_cache

from starlette.requests import HTTPConnection

from hookcast.auth import Caller

# A peer on a private network is a proxy that does not forward addresses, or a colleague: it may stand for any number of
# clients, so it is not counted. Loopback, RFC 1918, RFC 3927, RFC 6598; RFC 4193, RFC 4291.
_OWN = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_OWN_V4 = tuple((int(network[0]), int(network[-1])) for network in _OWN if network.version == 4)
PREFIX_V6 = 64  # the least that a site is assigned (RFC 6177)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(connection: HTTPConnection) -> str | None:
    """Return the client's IP address; None on a Unix socket, or if a proxy forwards something else."""
    client = connection.client
    address = None if client is None else _parsed(client.host)
    return None if address is None else str(address)


def holders_of(connection: HTTPConnection, caller: Caller) -> tuple[str, ...]:
    """Return the holders of the client's streams: its address and its token, but not the operator's API key."""
    client = connection.client
    return _holders("" if client is None else client.host, "" if caller.full else caller.name)


@lru_cache(maxsize=4096)  # also saves memory: a client's streams share one tuple
def _holders(host: str, token: str) -> tuple[str, ...]:
    return tuple(name for name in (_holder(host), token) if name)


def _holder(host: str) -> str | None:
    """Return the holder that stands for an address; None if there is none. IPv4 without Python's costly objects."""
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET, host))
    except (OSError, ValueError):
        address = _parsed(host)
        return None if address is None else _counted(address)
    return None if any(first <= number <= last for first, last in _OWN_V4) else f"address:{host}"


def _counted(address: Address) -> str | None:
    if any(address in network for network in _OWN):
        return None
    if address.version == 6:
        return f"address:{ipaddress.ip_network((address, PREFIX_V6), strict=False).network_address}"
    return f"address:{address}"


def _parsed(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

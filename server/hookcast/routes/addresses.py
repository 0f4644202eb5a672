"""Where a request comes from, for limits and logs.

`scope["client"]` is the peer, or what a trusted proxy says of it (HOOKCAST_FORWARDED_ALLOW_IPS).
"""

import ipaddress
from functools import lru_cache

from starlette.requests import HTTPConnection

from hookcast.auth import Caller

# A peer of one's own network is a proxy that does not forward addresses, or a colleague: behind it there may be
# everybody, so it is not counted. Loopback, RFC 1918, RFC 3927, RFC 6598; RFC 4193, RFC 4291.
_OWN = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
PREFIX_V6 = 64  # what one subscriber has, at the least (RFC 6177)


def address_of(connection: HTTPConnection) -> str | None:
    """The client's address; None when there is none, as on a Unix socket, or a proxy forwards something else."""
    client = connection.client
    return None if client is None else _parsed(client.host)


def holders_of(connection: HTTPConnection, caller: Caller) -> tuple[str, ...]:
    """By what the client's streams are counted: its address, and its token. An API key is the operator's own."""
    client = connection.client
    return _holders("" if client is None else client.host, "" if caller.full else caller.name)


@lru_cache(maxsize=4096)  # also for the room: a client's streams share what is kept of it
def _holders(host: str, token: str) -> tuple[str, ...]:
    address = _parsed(host)
    found = None if address is None else _counted(ipaddress.ip_address(address))
    return tuple(name for name in (found, token) if name)


def _counted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    if any(address in network for network in _OWN):
        return None
    if address.version == 6:
        return f"address:{ipaddress.ip_network((address, PREFIX_V6), strict=False).network_address}"
    return f"address:{address}"


def _parsed(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)

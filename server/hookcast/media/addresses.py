"""Which addresses files are fetched from: https on public addresses; pure.

While the emulated fal is used (`allow_local`), http and any port as well, on loopback addresses only.
"""

import ipaddress
import re
import string
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from hookcast.media.failures import Left, Reason

MAX_URL = 8192  # characters

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(r"(https?)://([^/?#\\]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\]%@]*\]|[^:@\[\]%]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"http": 80, "https": 443}
# RFC 6761, 6762, 8375, 7686, 9476 and ICANN's `internal`; `home`, `corp`, `lan` … are used in private networks.
_PRIVATE_NAMES = frozenset(
    [
        *("localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "arpa"),
        *("onion", "alt", "invalid", "test", "example"),
    ]
)
# IANA's special-purpose registries; and Azure's metadata, which has a public address.
_NOT_PUBLIC_V4 = [
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",
    )
]
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")  # else nothing is assigned as global unicast: no mapped IPv4, no NAT64
_NOT_PUBLIC_V6 = [
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]


class Target(NamedTuple):
    """Where a request goes. `host` is a name in ASCII or an address without brackets, `path` starts with a slash."""

    tls: bool
    host: str
    port: int
    path: str
    local_only: bool  # what is asked for is allowed on loopback only

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


def target_of(url: str, *, allow_local: bool) -> Target:
    """Return where a URL leads. Raise Left when files are not fetched from there, whatever its name resolves to."""
    parts = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if parts is None:
        raise _refused("it is not an http(s) URL")
    if any(character in " \\" or not character.isprintable() for character in url):
        raise _refused("it contains blanks, backslashes or control characters")
    scheme = parts[1].lower()
    host, port = _authority(parts[2], _PORTS[scheme])
    plain = scheme == "https" and port == _PORTS["https"] and not _is_private_name(host)
    if not plain and not allow_local:
        raise _refused("only https on port 443 of public hosts is allowed")
    path = quote(parts[3], safe=string.punctuation)
    return Target(scheme == "https", host, port, path if path.startswith("/") else f"/{path}", not plain)


def usable(target: Target, resolved: Iterable[str], *, allow_local: bool) -> list[str]:
    """Return those of the addresses that a host resolved to which may be connected to. Raise Left when none may."""
    addresses = [_parsed(text) for text in resolved]
    if target.local_only:
        found = [str(address) for address in addresses if address.is_loopback]
    else:
        found = [str(a) for a in addresses if is_public(a) or (allow_local and a.is_loopback)]
    if not found:
        raise _refused("it does not lead to a public address")
    return found


def is_public(address: _Address) -> bool:
    """Return whether an address belongs to a host of the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def literal(host: str) -> str | None:
    """Return the host when it is an address itself, None when it is a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _parsed(text: str) -> _Address:
    return ipaddress.ip_address(text.partition("%")[0])  # without a zone, which only link-local addresses have


def _authority(text: str, default_port: int) -> tuple[str, int]:
    if "@" in text:
        raise _refused("it contains a user name or password")
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise _refused("its host is not valid")
    port = int(found[2]) if found[2] else default_port
    if not 0 < port < 65536:
        raise _refused("its port is not valid")
    return _host(found[1]), port


def _host(text: str) -> str:
    """Return the host in its one form: an address, or a name in ASCII of lower case without a dot at the end."""
    if text.startswith("["):
        if (address := literal(text[1:-1])) is None or ":" not in address:
            raise _refused("its host is not valid")
        return address
    try:
        name = text.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise _refused("its host is not valid") from None
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # an IPv4 address to resolvers, in any of its old forms: only the usual one
        if (address := literal(name)) is None:
            raise _refused("its host is not valid")
        return address
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("its host is not valid")
    return name


def _is_private_name(host: str) -> bool:
    return literal(host) is None and ("." not in host or host.rpartition(".")[2] in _PRIVATE_NAMES)


def _refused(why: str) -> Left:
    return Left(Reason.REFUSED, f"Hookcast does not fetch from this address: {why}.")

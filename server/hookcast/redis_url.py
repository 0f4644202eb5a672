"""Parse URLs of Redis and Valkey, with the parameters of redis-py and of other clients. Nothing connects here.

Messages quote nothing: an unescaped character may split a password anywhere.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from msgspec import Struct

from hookcast.hosts import is_host

_SCHEMES = {
    **dict.fromkeys(("redis", "valkey", "redis+cluster", "valkey+cluster"), "redis"),
    **dict.fromkeys(("rediss", "valkeys", "rediss+cluster", "valkeys+cluster"), "rediss"),
}
_SHAPE = (
    "must be redis://user:password@host:port, with rediss:// for TLS, redis+cluster:// or rediss+cluster:// for a "
    "cluster (or valkey…); in the password, write %23 for #, %2F for /, %3F for ?, %40 for @, %25 for %"
)
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS: Mapping[str, Mapping[str, str]] = {  # redis-py's names; their values, and what they mean
    "ssl_cert_reqs": {
        **dict.fromkeys(("required", "cert_required"), "required"),
        **dict.fromkeys(("optional", "cert_optional"), "optional"),
        **dict.fromkeys(("none", "cert_none"), "none"),
    },
    "ssl_check_hostname": {
        **dict.fromkeys(("true", "1", "yes"), "true"),
        **dict.fromkeys(("false", "0", "no"), "false"),
    },
}
_KEPT = ("db", "username", "password")
_IGNORED = frozenset(  # no effect on what Hookcast does: its connections, timeouts and protocol are its own
    {
        *("protocol", "decode_responses", "encoding", "encoding_errors", "client_name", "lib_name", "lib_version"),
        *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size", "socket_type"),
        *("retry_on_timeout", "retry_on_error", "max_connections", "health_check_interval", "timeout", "pool_size"),
        *("family", "maxretriesperrequest", "enablereadycheck", "keepalive", "connecttimeout", "lazyconnect"),
    }
)


class RedisUrl(Struct, frozen=True):
    """A parsed URL: `url` is for redis-py, and has only parameters that Hookcast uses."""

    url: str
    cluster: bool


def parse(text: str) -> RedisUrl:
    """Parse a URL. Raises ValueError with the remedy."""
    try:
        parts = urlsplit(text)
        named = parts.scheme in _SCHEMES and parts.port != 0 and text.isprintable() and _has_host(parts)
        given = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise ValueError(_SHAPE) from None
    if not named or parts.fragment or not f"0{parts.path.strip('/')}".isdecimal():
        raise ValueError(_SHAPE)
    scheme = _SCHEMES[parts.scheme]
    words = {name.lower(): value for name, value in given if name.lower() not in _IGNORED}
    kept = urlencode(_honoured(words, tls=scheme == "rediss"))
    return RedisUrl(_joined(parts, scheme, kept), parts.scheme.endswith("+cluster"))


def _has_host(parts: SplitResult) -> bool:
    place = parts.netloc.rpartition("@")[2]
    if place.startswith("[") and not re.fullmatch(r"\[[^\]]*:[^\]]*\](:[0-9]*)?", place):
        return False
    return is_host(unquote(parts.hostname or ""))


def _joined(parts: SplitResult, scheme: str, query: str) -> str:
    return f"{scheme}://{parts.netloc}{parts.path}{'?' if query else ''}{query}"


def _honoured(words: Mapping[str, str], *, tls: bool) -> dict[str, str]:
    known = [*_FILES, *_TLS]
    if words.keys() - {*known, *_KEPT}:
        raise ValueError(f"a parameter after the ? must be one of {', '.join(known)}")
    if not words.get("db", "0").isdecimal():
        raise ValueError("db must be a number")
    of_tls = [name for name in known if name in words]
    if of_tls and not tls:
        raise ValueError(f"{', '.join(of_tls)}: only for TLS, with rediss:// or rediss+cluster://")
    for name in _FILES:
        if name in words and not Path(words[name]).is_file():
            raise ValueError(f"{name}: no such file")
    return {name: _value(name, value) for name, value in words.items()}


def _value(name: str, value: str) -> str:
    if name not in _TLS:
        return value
    if value.lower() not in _TLS[name]:
        raise ValueError(f"{name} must be {' or '.join(dict.fromkeys(_TLS[name].values()))}")
    return _TLS[name][value.lower()]

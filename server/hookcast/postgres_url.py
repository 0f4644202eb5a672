"""Parse PostgreSQL URLs as providers hand them out: libpq's parameters, and those of other drivers, poolers and ORMs.

Nothing connects here. Messages name a parameter, and quote nothing that may belong to a password.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from msgspec import Struct

from hookcast.hosts import is_host

PORT = 5432
SCHEMA = "hookcast"  # where Hookcast's tables are, unless a setting names another
SYSTEM = "system"  # libpq's name for the certificate authorities of the operating system
TLS_MODES = ("disable", "allow", "prefer", "require", "no-verify", "verify-ca", "verify-full")

_SHAPE = "must be postgresql://user:password@host/database"
_SCHEME = re.compile(r"(?:postgres|postgresql)(?:\+\w+)?://")
_SCHEMA = re.compile(r"(?!pg_|public$|information_schema$)[a-z_][a-z0-9_]{0,62}")
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?")
_NAMES_OF_SSL = {"true": "require", "1": "require", "on": "require", "false": "disable", "0": "disable"}
_SETTINGS = (  # sent to the server, as asyncpg does
    *("application_name", "options", "search_path", "statement_timeout", "lock_timeout"),
    *("idle_in_transaction_session_timeout", "timezone"),
)
_HONOURED = (
    *("host", "port", "user", "password", "dbname", "database", "passfile", "connect_timeout", "target_session_attrs"),
    *("ssl", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslnegotiation", *_SETTINGS),
)
_IGNORED = frozenset(  # no effect on what Hookcast does: its pool, statements and timeouts are its own
    {
        # libpq
        *("fallback_application_name", "channel_binding", "keepalives", "keepalives_idle", "keepalives_interval"),
        *("keepalives_count", "tcp_user_timeout", "load_balance_hosts", "sslcompression", "sslsni", "sslcertmode"),
        *("krbsrvname", "gsslib", "gssdelegation", "min_protocol_version", "max_protocol_version"),
        # Prisma, Supabase, Vercel, node-postgres, postgres.js
        *("connection_limit", "pool_timeout", "socket_timeout", "schema", "supa", "workaround"),
        *("uselibpqcompat", "prepared", "max", "idle_timeout", "max_lifetime"),
        # asyncpg, SQLAlchemy, pgx, lib/pq, Rails, Django
        *("command_timeout", "async_fallback", "pool_size", "pool", "conn_max_age", "encoding", "binary_parameters"),
        *("max_overflow", "pool_max_conns", "pool_min_conns", "default_query_exec_mode", "statement_cache_capacity"),
        *("pool_max_conn_lifetime", "pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time", "pool_min_idle_conns"),
        *("pool_health_check_period", "description_cache_capacity"),
    }
)
_UNPREPARED = {  # what Prisma, postgres.js, Rails, asyncpg, SQLAlchemy and GORM are told where a pooler is between
    "pgbouncer": "true",
    "prepare": "false",
    "prepared_statements": "false",
    "statement_cache_size": "0",
    "prepared_statement_cache_size": "0",
    "prefer_simple_protocol": "true",
}
_ALLOWED: Mapping[str, tuple[str, ...]] = {  # parameters that are supported with some values only
    "gssencmode": ("disable", "prefer"),
    "client_encoding": ("utf8", "utf-8", "unicode", "auto"),
    "replication": ("false", "off", "no", "0"),
    "sslaccept": ("accept_invalid_certs", "strict"),
    "ssl_min_protocol_version": ("tlsv1", "tlsv1.1", "tlsv1.2"),  # the driver's least is TLS 1.2
    "ssl_max_protocol_version": ("tlsv1.3",),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "primary", "read-write"),
    "channel_binding": ("disable", "prefer", "require"),
}


class Tls(Struct, frozen=True):
    """The encryption of the connection. `mode` is one of TLS_MODES; None = not given: libpq's default, `prefer`."""

    mode: str | None = None
    root: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = None
    direct: bool = False


class PostgresUrl(Struct, frozen=True):
    """A parsed URL. `hosts` are names, addresses or socket folders with their ports; none = this machine's socket.

    `settings` are sent to the server at the start of a session. `timeout` is in seconds. Unless it `prepares`, no
    statement stays prepared.
    """

    user: str | None
    password: str | None
    hosts: tuple[tuple[str, int], ...]
    database: str | None
    tls: Tls
    settings: Mapping[str, str]
    timeout: int | None = None
    target: str = "any"
    passfile: str | None = None
    binds_channel: bool = False
    prepares: bool = True

    @property
    def where(self) -> str:
        """The URL without user, password and query."""
        shown = (f"[{host}]" if ":" in host and host[0] != "/" else host for host, _ in self.hosts)
        pairs = zip(shown, self.hosts, strict=True)
        hosts = ",".join(host if port == PORT else f"{host}:{port}" for host, (_, port) in pairs)
        return f"postgresql://{hosts}/{self.database or ''}"


def check_schema(name: str) -> str:
    """Return the name of a schema. Raises ValueError unless it needs no quotes and may be Hookcast's own."""
    if not _SCHEMA.fullmatch(name):
        raise ValueError(
            "must be a schema for Hookcast alone: at most 63 lower-case letters, digits and _, not public and not pg_…"
        )
    return name


def parse(url: str) -> PostgresUrl:
    """Parse a URL. Raises ValueError with the remedy."""
    user, password, hosts, database, words = _split(url)
    _check(words)
    user, password = words.get("user", user), words.get("password", password)
    return PostgresUrl(
        user=user or None,
        password=password,
        hosts=_hosts(words.get("host") or hosts, words.get("port")),
        database=words.get("dbname") or words.get("database") or database or None,
        tls=_tls(words),
        settings={name: words[name] for name in _SETTINGS if name in words},
        timeout=_seconds(words.get("connect_timeout")),
        target=words.get("target_session_attrs", "any"),
        passfile=words.get("passfile"),
        binds_channel=words.get("channel_binding") == "require",
        prepares=not any(words.get(name, "").lower() == value for name, value in _UNPREPARED.items()),
    )


def _split(url: str) -> tuple[str | None, str | None, str, str, dict[str, str]]:
    """Return user, password, hosts, database and query parameters."""
    match = _SCHEME.match(url)
    if match is None or "%00" in url or not url.isprintable():
        raise ValueError(_SHAPE)
    access, at, rest = _access(url[match.end() :])
    address, _, query = rest.partition("?")
    hosts, _, database = address.partition("/")
    if "@" in query.partition("=")[0] or not (hosts or database or query):
        raise ValueError(f"{_SHAPE}; in the password, write %40 for @, %2F for /, %3F for ?, %25 for %")
    user, colon, password = access.partition(":")
    return unquote(user) if at else None, unquote(password) if colon else None, hosts, unquote(database), _words(query)


def _access(rest: str) -> tuple[str, str, str]:
    """Split user and password from what follows their `@`; `/`, `?` and `@` in the password may be unescaped."""
    before = rest.partition("?")[0]
    if "@" in before:
        access, at, _ = before.rpartition("@")
        return access, at, rest[len(access) + 1 :]
    port = re.split("[/?]", rest, maxsplit=1)[0].partition(":")[2]
    if port and not port.isdigit():
        return rest.partition("@") if "@" in rest else ("", "", rest)
    return "", "", rest


def _words(query: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, query.partition("#")[0].split("&")):
        name, _, value = pair.partition("=")
        found[unquote(name).lower()] = unquote(value.replace("+", " ") if name == "options" else value)
    return {name: value for name, value in found.items() if value}


def _check(words: Mapping[str, str]) -> None:
    for name, value in words.items():
        if name not in {*_HONOURED, *_UNPREPARED, *_ALLOWED} | _IGNORED:
            shown = name if re.fullmatch(r"\w{1,40}", name) else "a parameter"
            raise ValueError(f"{shown} after the ? is not supported")
        if name in _ALLOWED and value.lower() not in _ALLOWED[name]:
            raise ValueError(f"{name} must be {' or '.join(_ALLOWED[name])}")


def _hosts(text: str, ports: str | None) -> tuple[tuple[str, int], ...]:
    given = (ports or "").split(",")
    if not text:
        for port in given:
            _port(port)
        return ()
    names = text.split(",")
    if len(given) not in {1, len(names)}:
        raise ValueError("port must be one port, or one port per host")
    return tuple(_host(name, port) for name, port in zip(names, given * (len(names) // len(given)), strict=True))


def _host(text: str, port: str) -> tuple[str, int]:
    if text.startswith("/"):
        return text, _port(port)
    match = _HOST.fullmatch(text)
    if match is None or not (match["v6"] or match["name"]) or " " in text:
        raise ValueError(_SHAPE)
    host = unquote(match["v6"] or match["name"])
    bare = match["v6"] is not None and ":" not in host
    if bare or not (host.startswith(("/", "@")) or is_host(host)):  # a socket's folder, or an abstract socket
        raise ValueError(f"{_SHAPE}; this is no name of a host")
    return host, _port(match["port"] or port)


def _port(text: str) -> int:
    if not text:
        return PORT
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 65536:
        raise ValueError(f"{_SHAPE}; a port must be from 1 to 65535")
    return int(text)


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.removeprefix("-").isdigit() or not text.isascii():
        raise ValueError("connect_timeout must be a number of seconds")
    return int(text[:9]) if int(text[:9]) > 0 else None  # libpq: zero or less means no timeout


def _mode(words: Mapping[str, str]) -> str | None:
    mode = words.get("sslmode")
    if mode is None and "ssl" in words:
        mode = _NAMES_OF_SSL.get(words["ssl"].lower(), words["ssl"])
    if mode is not None and mode not in TLS_MODES:
        raise ValueError(f"sslmode must be {', '.join(TLS_MODES[:-1])} or {TLS_MODES[-1]}")
    strict = words.get("sslaccept", "").lower() == "strict"  # Prisma's word
    return "verify-full" if strict and mode in {None, "allow", "prefer", "require"} else mode


def _tls(words: Mapping[str, str]) -> Tls:
    mode = _mode(words)
    root, certificate, key = words.get("sslrootcert"), words.get("sslcert"), words.get("sslkey")
    for name, file in (("sslrootcert", root), ("sslcert", certificate), ("sslkey", key)):
        if file is not None and not (name == "sslrootcert" and file == SYSTEM) and not Path(file).is_file():
            raise ValueError(f"{name}: no such file")
    if mode is None and root == SYSTEM:
        mode = "verify-full"  # libpq's default in this case
    if certificate is not None and mode in {None, "allow", "prefer"}:
        mode = "require"  # a client certificate needs TLS
    direct = words.get("sslnegotiation", "").lower() == "direct"
    if direct and mode in {None, "disable", "allow", "prefer"}:
        raise ValueError("sslnegotiation=direct requires sslmode=require, verify-ca or verify-full")
    return Tls(mode, root, certificate, key, words.get("sslpassword"), direct)

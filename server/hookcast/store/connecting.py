"""Connect to PostgreSQL with asyncpg: TLS by libpq's parameters, and the first of several hosts that accepts writes."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import asyncpg

from hookcast.errors import StoreRefused
from hookcast.postgres_url import SYSTEM, PostgresUrl, Tls

WAIT_SECONDS = 4  # for a connection, to any host
APPLICATION = "hookcast"  # shown in pg_stat_activity
# A generic plan made while a table was small goes on scanning all of it. The setting exists since PostgreSQL 12.
_PLANS = "SELECT set_config(name, 'force_custom_plan', false) FROM pg_settings WHERE name = 'plan_cache_mode'"
_PLAIN = ("disable", "allow", "prefer")

# Try the next host: this one is unreachable, starting or stopping, or accepts no writes.
_TRY_NEXT = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TargetServerAttributeNotMatched,
)


class Connector:
    """Opens connections to the hosts of a URL. Raises StoreRefused for certificates that cannot be used."""

    def __init__(self, url: PostgresUrl) -> None:
        self._hosts: list[tuple[str, int] | None] = [*url.hosts] or [None]
        several = len(self._hosts) > 1
        self._arguments: dict[str, Any] = {
            "user": url.user,
            "password": url.password,
            "passfile": url.passfile,
            "database": url.database,
            "ssl": _ssl(url.tls),
            "direct_tls": url.tls.direct or None,
            "server_settings": {"application_name": APPLICATION, **url.settings},
            "target_session_attrs": "read-write" if several and url.target == "any" else url.target,
            "timeout": min(url.timeout or WAIT_SECONDS, WAIT_SECONDS) / len(self._hosts),
            "statement_cache_size": 0,
        }

    async def connect(self) -> asyncpg.Connection:
        """Connect to the host of the last connection, else to the next that answers and accepts writes.

        Raises what asyncpg raises for the last host.
        """
        failure: Exception | None = None
        for host in tuple(self._hosts):
            place = {} if host is None else {"host": [host[0]], "port": [host[1]]}
            try:
                connection = await asyncpg.connect(**place, **self._arguments)
            except _TRY_NEXT as error:
                failure = error
                continue
            if host is not self._hosts[0]:
                self._hosts.remove(host)
                self._hosts.insert(0, host)
            return connection
        assert failure is not None  # noqa: S101
        raise failure


async def enable_prepared(connection: asyncpg.Connection) -> bool:
    """Set up the session for prepared statements if the peer is PostgreSQL itself; return whether it is.

    A pooler may switch servers between transactions. The process id in its BackendKeyData, which a client needs to
    cancel a query, is of its own making; PostgreSQL's is that of the backend.
    """
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            async with connection.transaction():
                process = await connection.fetchval("SELECT pg_backend_pid()")
            direct = bool(process == connection.get_server_pid())
            if direct:
                await connection.execute(_PLANS)
    except BaseException:
        connection.terminate()
        raise
    return direct


def _ssl(tls: Tls) -> str | ssl.SSLContext | None:
    """Return asyncpg's `ssl`. A mode without files is asyncpg's to read, with the files of ~/.postgresql."""
    if tls.mode in {None, *_PLAIN} or (tls.mode == "require" and not (tls.root or tls.certificate)):
        return tls.mode
    try:
        return _context(tls)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = f"HOOKCAST_DATABASE_URL: the certificates cannot be used: {error}."
        raise StoreRefused(reason) from error


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    verifies = tls.mode in {"verify-ca", "verify-full"} or (tls.mode == "require" and tls.root is not None)
    context.check_hostname = tls.mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
    if verifies:
        _trust(context, tls.root)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: tls.password or "")
    context.set_alpn_protocols(["postgresql"])
    return context


def _trust(context: ssl.SSLContext, root: str | None) -> None:
    """Trust the file, else ~/.postgresql/root.crt as libpq does, else the authorities of the system."""
    home = Path("~/.postgresql/root.crt").expanduser()
    if root is None and home.is_file():
        root = str(home)
    if root in {None, SYSTEM}:
        context.load_default_certs()
    else:
        context.load_verify_locations(root)

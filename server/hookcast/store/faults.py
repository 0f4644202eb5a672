"""Translate errors of SQLite, asyncpg and SQLAlchemy for operators and for the server.

A node with SQLite never loads asyncpg: it would take 20 ms and 3 MiB.
"""

import asyncio
import errno
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from typing import TypeVar

from sqlalchemy.exc import DataError as SqlDataError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import IntegrityError as SqlIntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from hookcast.errors import StoreRefused, StoreUnavailable, Trouble

_OF_VALUES = (SqlDataError, SqlIntegrityError, UnicodeError, OverflowError)  # errors of one row, not of the database
_LIBRARY_ERRORS = (
    *(SQLAlchemyError, TimeoutError, OSError, UnicodeError, OverflowError),
    *(sqlite3.Error, asyncio.IncompleteReadError),  # while a connection is opened or closed
)

_Value = TypeVar("_Value")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SAYS = {
    Trouble.DISK_FULL: "The database's disk is full",
    Trouble.READ_ONLY: "The database accepts no writes",
    Trouble.UNREACHABLE: "The database cannot be reached",
    Trouble.TIMEOUT: "The database did not answer in time",
    Trouble.BUSY: "The database is too busy",
    Trouble.REFUSED: "The database cannot be used",
    Trouble.VALUE: "The database cannot store a value",
    Trouble.ERROR: "The database returned an unexpected error",
}
_BY_STATE = {  # SQLSTATE, or its class
    "08": Trouble.UNREACHABLE,
    "22": Trouble.VALUE,
    "23": Trouble.VALUE,
    "25006": Trouble.READ_ONLY,
    "28": Trouble.REFUSED,
    "3D": Trouble.REFUSED,
    "3F": Trouble.REFUSED,
    "40001": Trouble.READ_ONLY,  # at READ COMMITTED only a standby raises this: a conflict with recovery
    "42501": Trouble.REFUSED,
    "42704": Trouble.REFUSED,  # a parameter of the session that the server does not know
    "42P07": Trouble.REFUSED,  # a table of that name is there
    "53100": Trouble.DISK_FULL,
    "53": Trouble.BUSY,
    "54": Trouble.VALUE,  # too long for an index, for instance
    "55P03": Trouble.BUSY,
    "57014": Trouble.TIMEOUT,
    "57P": Trouble.UNREACHABLE,  # starting or stopping
}
_BY_SQLITE = {
    sqlite3.SQLITE_FULL: Trouble.DISK_FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_BUSY: Trouble.BUSY,
    sqlite3.SQLITE_LOCKED: Trouble.BUSY,
    sqlite3.SQLITE_NOTADB: Trouble.REFUSED,
    sqlite3.SQLITE_CORRUPT: Trouble.REFUSED,
    sqlite3.SQLITE_PERM: Trouble.REFUSED,
    sqlite3.SQLITE_TOOBIG: Trouble.VALUE,
    sqlite3.SQLITE_CONSTRAINT: Trouble.VALUE,
    sqlite3.SQLITE_MISMATCH: Trouble.VALUE,
}
_BY_TEXT = {  # the operating system's messages, where a server reports no better code
    "No space left on device": Trouble.DISK_FULL,
    "Disk quota exceeded": Trouble.DISK_FULL,
    "File too large": Trouble.DISK_FULL,
    "Read-only file system": Trouble.READ_ONLY,
    "during recovery": Trouble.READ_ONLY,
    "already exists": Trouble.REFUSED,
    "invalid value for parameter": Trouble.REFUSED,  # of the session
    "invalid command-line argument": Trouble.REFUSED,  # in `options`
    "Tenant or user not found": Trouble.REFUSED,  # Supabase's pooler
    "unsupported startup parameter": Trouble.REFUSED,  # PgBouncer
    "rejected SSL upgrade": Trouble.REFUSED,
}
_BY_CLASS: dict[type[BaseException], Trouble] = {  # the first that matches
    ssl.SSLCertVerificationError: Trouble.REFUSED,
    TimeoutError: Trouble.TIMEOUT,
    PoolTimeout: Trouble.BUSY,
    OSError: Trouble.UNREACHABLE,
    EOFError: Trouble.UNREACHABLE,
}
_REMEDIES = {
    "28": "Check user and password in HOOKCAST_DATABASE_URL",
    "3D": "Create the database, or check its name in HOOKCAST_DATABASE_URL",
    "3F": "Create the schema again, or check HOOKCAST_DATABASE_SCHEMA",
    "22023": "Check the words after the ? in HOOKCAST_DATABASE_URL",
    "42601": "Check the words after the ? in HOOKCAST_DATABASE_URL",
    "42704": "Check the words after the ? in HOOKCAST_DATABASE_URL",
    "42P07": "Give Hookcast a database of its own",
    "42501": "Let its user use it: GRANT CONNECT ON DATABASE … TO …; GRANT CREATE, USAGE ON SCHEMA … TO …",
}


def library_errors() -> tuple[type[BaseException], ...]:
    """Return the classes of every error that `unavailable` translates."""
    if "asyncpg" not in sys.modules:
        return _LIBRARY_ERRORS
    import asyncpg  # noqa: PLC0415

    # These may escape SQLAlchemy's own errors while a connection is opened or closed.
    return (*_LIBRARY_ERRORS, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def unavailable(error: BaseException) -> StoreUnavailable:
    """Return the error to raise in place of a library's."""
    causes = tuple(_causes(error))
    trouble, remedy = next(filter(None, map(_found, causes)), (Trouble.ERROR, ""))
    said = " ".join(str(causes[-1]).split()) or type(causes[-1]).__name__
    message = f"{_SAYS[trouble]}."
    reason = f"{_SAYS[trouble]}: {said.rstrip('.')}.{remedy and f' {remedy}.'}"
    if trouble is Trouble.REFUSED:
        return StoreRefused(message, reason=reason)
    return StoreUnavailable(message, trouble, reason=reason)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes."""
    while error is not None:
        yield error
        error = error.orig if isinstance(error, DBAPIError) else error.__cause__


def _found(error: BaseException) -> tuple[Trouble, str] | None:
    """Return the trouble and its remedy, None when this error does not identify one."""
    state = getattr(error, "sqlstate", None)
    by_text = next((trouble for text, trouble in _BY_TEXT.items() if text in str(error)), None)
    if by_text is not None and not isinstance(error, SQLAlchemyError):
        return by_text, _looked_up(_REMEDIES, state or "") or ""
    if isinstance(error, _OF_VALUES):
        return Trouble.VALUE, ""
    if isinstance(state, str):
        return _looked_up(_BY_STATE, state) or Trouble.ERROR, _looked_up(_REMEDIES, state) or ""
    trouble = _of_this_machine(error)
    return None if trouble is None else (trouble, _remedy_here(error))


def _of_this_machine(error: BaseException) -> Trouble | None:
    if isinstance(error, sqlite3.Error):
        return _BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return Trouble.DISK_FULL
    if number == errno.EROFS:
        return Trouble.READ_ONLY
    return next((trouble for kind, trouble in _by_class().items() if isinstance(error, kind)), None)


def _by_class() -> dict[type[BaseException], Trouble]:
    """Return the trouble of each class; the first that matches counts."""
    if "asyncpg" not in sys.modules:
        return _BY_CLASS
    import asyncpg  # noqa: PLC0415

    return {
        **_BY_CLASS,
        asyncpg.ClientConfigurationError: Trouble.REFUSED,
        asyncpg.TargetServerAttributeNotMatched: Trouble.READ_ONLY,
        asyncpg.InterfaceError: Trouble.UNREACHABLE,
        asyncpg.InternalClientError: Trouble.UNREACHABLE,
    }


def _remedy_here(error: BaseException) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Check sslrootcert in HOOKCAST_DATABASE_URL"
    return {sqlite3.SQLITE_NOTADB: "Check the path in HOOKCAST_DATABASE_URL"}.get(code, "")


def _looked_up(table: dict[str, _Value], state: str) -> _Value | None:
    return next((table[state[:size]] for size in (5, 3, 2) if state[:size] in table), None)

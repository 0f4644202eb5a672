"""What the errors of drivers, servers and the operating system mean."""

import errno
import sqlite3
import ssl

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from hookcast.errors import StoreRefused, Trouble
from hookcast.store.faults import unavailable


def of_state(state: str, message: str = "it is so") -> BaseException:
    """An error of PostgreSQL, as SQLAlchemy passes it on."""
    error = asyncpg.PostgresError.new({"C": state, "M": message})
    return DBAPIError("INSERT", {"secret": "payload"}, error)


def of_sqlite(code: int, message: str = "it is so") -> BaseException:
    """An error of SQLite, as SQLAlchemy passes it on."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return OperationalError("INSERT", {"secret": "payload"}, error)


ERRORS = {
    "no space": (OSError(errno.ENOSPC, "No space left on device"), Trouble.DISK_FULL),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), Trouble.DISK_FULL),
    "read-only file system": (OSError(errno.EROFS, "Read-only file system"), Trouble.READ_ONLY),
    "sqlite, no space": (of_sqlite(sqlite3.SQLITE_FULL), Trouble.DISK_FULL),
    "sqlite, read-only": (of_sqlite(sqlite3.SQLITE_READONLY_DIRECTORY), Trouble.READ_ONLY),
    "sqlite, locked": (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), Trouble.BUSY),
    "sqlite, no database": (of_sqlite(sqlite3.SQLITE_NOTADB), Trouble.REFUSED),
    "sqlite, too big": (of_sqlite(sqlite3.SQLITE_TOOBIG), Trouble.VALUE),
    "disk_full": (of_state("53100"), Trouble.DISK_FULL),
    "out_of_memory": (of_state("53200"), Trouble.BUSY),
    "too_many_connections": (of_state("53300"), Trouble.BUSY),
    "the server's quota": (of_state("XX000", "could not extend file: Disk quota exceeded"), Trouble.DISK_FULL),
    "the server's file system": (of_state("42501", "could not open file: Read-only file system"), Trouble.READ_ONLY),
    "read_only_sql_transaction": (of_state("25006"), Trouble.READ_ONLY),
    "recovery": (of_state("XX000", "cannot assign TransactionIds during recovery"), Trouble.READ_ONLY),
    "conflict with recovery": (of_state("40001"), Trouble.READ_ONLY),
    "admin_shutdown": (of_state("57P01"), Trouble.UNREACHABLE),
    "crash_shutdown": (of_state("57P02"), Trouble.UNREACHABLE),
    "cannot_connect_now": (of_state("57P03"), Trouble.UNREACHABLE),
    "connection_failure": (of_state("08006"), Trouble.UNREACHABLE),
    "refused": (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), Trouble.UNREACHABLE),
    "closed": (asyncpg.InterfaceError("connection is closed"), Trouble.UNREACHABLE),
    "standby": (asyncpg.TargetServerAttributeNotMatched("none matched"), Trouble.READ_ONLY),
    "slow": (TimeoutError(), Trouble.TIMEOUT),
    "query_canceled": (of_state("57014"), Trouble.TIMEOUT),
    "invalid_password": (of_state("28P01"), Trouble.REFUSED),
    "no entry in pg_hba.conf": (of_state("28000"), Trouble.REFUSED),
    "invalid_catalog_name": (of_state("3D000"), Trouble.REFUSED),
    "insufficient_privilege": (of_state("42501", "permission denied for schema public"), Trouble.REFUSED),
    "invalid_schema_name": (of_state("3F000"), Trouble.REFUSED),
    "undefined_object": (of_state("42704", 'unrecognized configuration parameter "x"'), Trouble.REFUSED),
    "invalid_parameter_value": (of_state("22023", 'invalid value for parameter "TimeZone": "x"'), Trouble.REFUSED),
    "words of options": (of_state("42601", "invalid command-line argument for server process: x"), Trouble.REFUSED),
    "duplicate_table": (of_state("42P07", 'relation "jobs" already exists'), Trouble.REFUSED),
    "certificate": (ssl.SSLCertVerificationError(1, "self-signed certificate"), Trouble.REFUSED),
    "numeric_value_out_of_range": (of_state("22003"), Trouble.VALUE),
    "number": (OverflowError("Python int too large"), Trouble.VALUE),
    "unknown": (of_state("XX000", "a bug"), Trouble.ERROR),
}


@pytest.mark.parametrize(("error", "trouble"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_told_by_its_kind(error: BaseException, trouble: Trouble) -> None:
    """With a sentence for anybody, and a reason for operators; neither has values."""
    found = unavailable(error)
    assert found.trouble is trouble
    assert isinstance(found, StoreRefused) is (trouble is Trouble.REFUSED)
    assert str(found).startswith("The database")
    assert "it is so" not in str(found)
    assert found.reason.startswith("The database")
    assert "payload" not in found.reason
    assert "\n" not in found.reason


@pytest.mark.parametrize(
    ("state", "message", "remedy"),
    [
        ("42704", 'unrecognized configuration parameter "x"', "words after the ?"),
        ("22023", 'invalid value for parameter "TimeZone": "x"', "words after the ?"),
        ("42601", "invalid command-line argument for server process: x", "words after the ?"),
        ("42501", 'permission denied for database "x"', "GRANT CONNECT"),
        ("42501", "permission denied for schema public", "GRANT CREATE"),
        ("42P07", 'relation "jobs" already exists', "a database of its own"),
    ],
)
def test_what_an_operator_can_mend_is_told_with_the_remedy(state: str, message: str, remedy: str) -> None:
    reason = unavailable(of_state(state, message)).reason
    assert message in reason
    assert remedy in reason

"""Statements as the driver of SQLite takes them."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

from sqlalchemy import Boolean, Column, Integer, MetaData, Table, Text, bindparam, create_engine, func, literal, select
from sqlalchemy.dialects import sqlite

from hookcast.store.prepared import Prepared, PreparedSelect
from hookcast.store.schema import UtcDateTime

notes = Table("notes", MetaData(), Column("id", Text), Column("at", UtcDateTime), Column("length", Integer))
AT = datetime(2026, 11, 29, 10, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=1)))


def test_each_parameter_gets_its_value_wherever_the_statement_names_it() -> None:
    """Out of order, twice, and beside constants; a time as the column has it."""
    name, moment = bindparam("name", type_=Text), bindparam("moment", type_=UtcDateTime)
    rows = select(moment, literal(7), name).where(name != "left out")
    statement = notes.insert().from_select(["at", "length", "id"], rows)
    prepared = Prepared(statement, {"name": Text(), "moment": UtcDateTime()}, sqlite.dialect())
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE notes (id TEXT, at TIMESTAMP, length INTEGER)")
        given = [("one", AT), ("left out", AT), ("two", None), ("three", AT.astimezone(UTC))]
        connection.executemany(prepared.sql, prepared.rows(given))
        found = connection.execute("SELECT id, at, length FROM notes ORDER BY rowid").fetchall()
    stored = "2026-11-29 09:00:00.123000"
    assert found == [("one", stored, 7), ("two", None, 7), ("three", stored, 7)]


def test_a_time_is_stored_as_sqlalchemy_stores_it() -> None:
    """Both write the same columns."""
    dialect = sqlite.dialect()
    bind = UtcDateTime().dialect_impl(dialect).bind_processor(dialect)
    assert bind is not None
    statement = notes.insert().values(at=bindparam("moment", type_=UtcDateTime))
    assert Prepared(statement, {"moment": UtcDateTime()}, dialect).rows([(AT,), (None,)]) == [(bind(AT),), (None,)]


def test_a_query_returns_the_rows_that_sqlalchemy_returns() -> None:
    """Times, truth values, what is computed, and what is broken, for the ids that are given."""
    table = Table("pages", MetaData(), Column("id", Text), Column("at", UtcDateTime), Column("keep", Boolean))
    among = table.c.id.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value))
    query = select(*table.c, func.coalesce(table.c.keep, 7).label("kept")).where(among, table.c.id != "no")
    with create_engine("sqlite://").begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"id": name, "at": AT, "keep": name == "a"} for name in ("a", "b", "no")])
        connection.exec_driver_sql("INSERT INTO pages VALUES ('broken', 'never', NULL)")
        ids = '["a", "b", "no", "broken", "missing"]'
        expected = [dict(row) for row in connection.execute(query, {"ids": ids}).mappings()]
        prepared = PreparedSelect(query, connection.dialect)
        found = connection.exec_driver_sql(prepared.sql, tuple(prepared.parameters(ids=ids))).cursor
        assert found is not None
        rows = [*prepared.rows(found.fetchall())]
    assert rows == expected
    assert {row["id"]: row["at"] for row in rows}["broken"] is None
    assert len(rows) == 3

"""Alembic's entry: runs on the connection that the store hands over."""

from alembic import context

connection = context.config.attributes["connection"]
# On PostgreSQL the first schema of the search path: a table of the same name in a later one is another program's.
schema = connection.dialect.default_schema_name if connection.dialect.name == "postgresql" else None
context.configure(connection=connection, version_table_schema=schema)
with context.begin_transaction():
    context.run_migrations()

"""Alembic's entry: runs on the connection that the store hands over."""

from alembic import context

from hookcast.store.place import own_schema

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema=own_schema(connection))
with context.begin_transaction():
    context.run_migrations()

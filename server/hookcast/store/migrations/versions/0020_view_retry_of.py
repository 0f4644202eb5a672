"""The view of the jobs shows which job each one retries."""

from alembic import op

from hookcast.store.place import revoke

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# As 0013 made it. A view that is replaced keeps the rights on it, and may get columns at its end only.
_VIEW = """
VIEW jobs_json{options} AS
SELECT
    request_id, status, version, endpoint_id, phase, queue_position, json_of(logs) AS logs, started_at,
    expected_seconds, json_of(result) AS result, error, json_of(error_detail) AS error_detail, ended_by,
    json_of(media) AS media, owner,
    CASE WHEN owner ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN owner::uuid END AS owner_id,
    group_name, json_of(metadata) AS metadata, created_at, updated_at, completed_at{more}
FROM jobs
"""
_INVOKER = (15,)


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"CREATE OR REPLACE {_view(', retry_of')}")


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.execute("DROP VIEW jobs_json")
        connection.exec_driver_sql(f"CREATE {_view('')}")
        revoke(connection, "TABLE", "jobs_json")


def _view(more: str) -> str:
    release = op.get_bind().dialect.server_version_info or ()
    options = " WITH (security_invoker = true)" if release >= _INVOKER else ""
    return _VIEW.format(options=options, more=more)

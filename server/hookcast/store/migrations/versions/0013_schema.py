"""On PostgreSQL, a view of the jobs for the database's other users: JSON as jsonb, the owner also as a uuid."""

from alembic import op

from hookcast.store.place import revoke

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# jsonb refuses some of JSON, such as \u0000 and numbers without end: NULL for such a text, whatever the error.
_JSON_OF = """
CREATE FUNCTION json_of(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = '' AS $$
BEGIN
    RETURN given::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$
"""
_VIEW = """
CREATE VIEW jobs_json{options} AS
SELECT
    request_id, status, version, endpoint_id, phase, queue_position, json_of(logs) AS logs, started_at,
    expected_seconds, json_of(result) AS result, error, json_of(error_detail) AS error_detail, ended_by,
    json_of(media) AS media, owner,
    CASE WHEN owner ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN owner::uuid END AS owner_id,
    group_name, json_of(metadata) AS metadata, created_at, updated_at, completed_at
FROM jobs
"""
_INVOKER = (15,)  # from this release of PostgreSQL on, a view may be read with the rights of its reader


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    options = " WITH (security_invoker = true)" if (connection.dialect.server_version_info or ()) >= _INVOKER else ""
    connection.exec_driver_sql(_JSON_OF)
    connection.exec_driver_sql(_VIEW.format(options=options))
    revoke(connection, "FUNCTION", "json_of(text)")
    revoke(connection, "TABLE", "jobs_json")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP VIEW jobs_json")
        op.execute("DROP FUNCTION json_of(text)")

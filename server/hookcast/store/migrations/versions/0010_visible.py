"""Indexes for the jobs that a caller may see, and for those that ended long ago."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OLD = {
    "jobs_newest": ["created_at", "request_id"],
    "jobs_by_owner": ["owner", "created_at", "request_id"],
    "jobs_by_group": ["group_name", "created_at", "request_id"],
    "jobs_by_group_change": ["group_name", "updated_at"],
}
_NEW = {
    "jobs_by_owner": (["owner", "status", "created_at", "request_id"], ["owner"]),
    "jobs_by_group": (["group_name", "status", "created_at", "request_id"], ["group_name"]),
    "jobs_by_owner_group": (["owner", "group_name", "status", "created_at", "request_id"], ["owner", "group_name"]),
    "jobs_by_group_change": (["group_name", "updated_at", "request_id"], ["group_name"]),
    "jobs_by_owner_group_change": (["owner", "group_name", "updated_at", "request_id"], ["owner", "group_name"]),
    "jobs_by_end": (["completed_at", "request_id"], ["completed_at"]),
}


def upgrade() -> None:
    for name in _OLD:
        op.drop_index(name, "jobs")
    for name, (columns, given) in _NEW.items():
        where = sa.text(" AND ".join(f"{column} IS NOT NULL" for column in given))
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in _NEW:
        op.drop_index(name, "jobs")
    for name, columns in _OLD.items():
        op.create_index(name, "jobs", columns)

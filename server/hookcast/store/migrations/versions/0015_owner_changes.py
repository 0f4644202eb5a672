"""Indexes for the feeds of owners: their jobs by change, and the owner of each row that was written."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OLD = ["changed_at", "request_id", "version", "group_name"]
_NEW = ["changed_at", "request_id", "version", "owner", "group_name"]


def upgrade() -> None:
    where = sa.text("owner IS NOT NULL")
    columns = ["owner", "updated_at", "request_id"]
    op.create_index("jobs_by_owner_change", "jobs", columns, sqlite_where=where, postgresql_where=where)
    op.drop_index("jobs_by_change", "jobs")
    op.create_index("jobs_by_change", "jobs", _NEW)


def downgrade() -> None:
    op.drop_index("jobs_by_owner_change", "jobs")
    op.drop_index("jobs_by_change", "jobs")
    op.create_index("jobs_by_change", "jobs", _OLD)

"""Jobs that retry another one."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("retry_of", sa.String(200)))
    op.add_column("submits", sa.Column("retry_of", sa.String(200)))
    where = sa.text("retry_of IS NOT NULL")
    columns = ["retry_of", "created_at", "request_id"]
    op.create_index("jobs_by_retry", "jobs", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("jobs_by_retry", "jobs")
    op.drop_column("submits", "retry_of")
    op.drop_column("jobs", "retry_of")

"""The time of a row's last write, by the database's clock, by which other nodes find changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("changed_at", sa.Float, nullable=False, server_default="0"))
    op.create_index("jobs_by_change", "jobs", ["changed_at", "request_id", "version", "group_name"])


def downgrade() -> None:
    op.drop_index("jobs_by_change", "jobs")
    op.drop_column("jobs", "changed_at")

"""The way the end of a job became known; null for jobs that ended before."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("ended_by", sa.String(16)))


def downgrade() -> None:
    op.drop_column("jobs", "ended_by")

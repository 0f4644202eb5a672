"""The jobs that were removed by request, so that a webhook that comes again does not bring them back."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "removed_jobs",
        sa.Column("request_id", sa.String(200), primary_key=True),
        sa.Column("removed_at", sa.Float, nullable=False),
    )
    op.create_index("removed_by_age", "removed_jobs", ["removed_at"])


def downgrade() -> None:
    op.drop_table("removed_jobs")

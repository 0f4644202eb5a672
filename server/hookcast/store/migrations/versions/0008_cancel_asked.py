"""The time of a cancel request to fal, committed before the request, so that every node knows of it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("cancel_asked_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("jobs", "cancel_asked_at")

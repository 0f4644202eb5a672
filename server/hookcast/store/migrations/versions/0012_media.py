"""The files of results that are kept, and whether a submit wants them kept."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("media", sa.Text, nullable=False, server_default="[]"))
    op.add_column("jobs", sa.Column("keep", sa.Boolean))
    op.add_column("submits", sa.Column("keep", sa.Boolean))


def downgrade() -> None:
    op.drop_column("submits", "keep")
    op.drop_column("jobs", "keep")
    op.drop_column("jobs", "media")

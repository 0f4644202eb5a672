"""fal's own URLs of a request's status and of its cancel, in addition to that of its result."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("status_url", sa.Text))
    op.add_column("jobs", sa.Column("cancel_url", sa.Text))


def downgrade() -> None:
    op.drop_column("jobs", "cancel_url")
    op.drop_column("jobs", "status_url")

"""The work of a job is found by its requestId."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("work_by_job", "work", ["request_id"])


def downgrade() -> None:
    op.drop_index("work_by_job", "work")

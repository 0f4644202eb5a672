"""An index for the states that the stream of a group begins with."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("jobs_by_group_change", "jobs", ["group_name", "updated_at"])


def downgrade() -> None:
    op.drop_index("jobs_by_group_change", "jobs")

"""The inputs of submits that are kept, to submit them again."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inputs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.String(200)),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
    )
    op.create_index("inputs_by_job", "inputs", ["request_id"])
    op.add_column("submits", sa.Column("input_kept", sa.Boolean))


def downgrade() -> None:
    op.drop_column("submits", "input_kept")
    op.drop_table("inputs")

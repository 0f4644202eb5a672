"""The id of the deployment, by which nodes of one database find one another."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deployment",
        sa.Column("only", sa.Boolean, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("deployment")

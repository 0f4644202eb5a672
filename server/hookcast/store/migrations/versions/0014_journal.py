"""The journal of jobs, and the refused webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "journal",
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True),
        sa.Column("request_id", sa.String(200), nullable=False),
        sa.Column("event", sa.String(24), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
    op.create_index("journal_by_job", "journal", ["request_id", "event"])
    op.create_table(
        "refused_webhooks",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("request_id", sa.String(200)),
        sa.Column("client", sa.String(64)),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
    )
    op.create_index("refused_by_age", "refused_webhooks", ["last_at", "id"])
    op.create_index("refused_by_job", "refused_webhooks", ["request_id"])


def downgrade() -> None:
    op.drop_table("refused_webhooks")
    op.drop_table("journal")

"""Durable work. A result that is still to be fetched gets its piece."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FETCH = """
INSERT INTO work (id, kind, request_id, due_at, attempts, facts)
SELECT 'fetch:' || request_id, 'fetch', request_id, 0, 0, '{}' FROM jobs
WHERE status = 'pending' AND phase = 'saving'
"""


def upgrade() -> None:
    op.create_table(
        "work",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("request_id", sa.String(200), nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("lease_until", sa.Float),
        sa.Column("holder", sa.String(64)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
    )
    op.create_index("work_by_kind", "work", ["kind", "due_at"])
    op.execute(_FETCH)


def downgrade() -> None:
    op.drop_table("work")

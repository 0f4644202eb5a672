"""Submits, stored before fal is asked; they take over the idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
# A key without a job may have reached fal. One whose job was removed is free again.
_TAKE_OVER = """
INSERT INTO submits (id, key, request_id, metadata, asked_at, until)
SELECT 'key:' || key, key, request_id, '{}', claimed_at, claimed_at FROM idempotency_keys
WHERE request_id IS NULL OR request_id IN (SELECT request_id FROM jobs)
"""


def upgrade() -> None:
    op.create_table(
        "submits",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.String(255), unique=True),
        sa.Column("caller", sa.Text),
        sa.Column("digest", sa.String(64)),
        sa.Column("request_id", sa.String(200)),
        sa.Column("endpoint_id", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("group_name", sa.Text),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
    )
    op.create_index("submits_by_age", "submits", ["asked_at"])
    op.execute(_TAKE_OVER)
    op.drop_table("idempotency_keys")


def downgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("request_id", sa.String(200)),
        sa.Column("claimed_at", _TIME, nullable=False),
    )
    op.execute(
        "INSERT INTO idempotency_keys (key, request_id, claimed_at) "
        "SELECT key, request_id, asked_at FROM submits WHERE key IS NOT NULL"
    )
    op.drop_table("submits")

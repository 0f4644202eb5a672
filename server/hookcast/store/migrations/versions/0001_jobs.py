"""Jobs, idempotency keys and fal's public keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_ORDER = ["created_at", "request_id"]


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("request_id", sa.String(200), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("endpoint_id", sa.Text),
        sa.Column("response_url", sa.Text),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("queue_position", sa.Integer),
        sa.Column("logs", sa.Text, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("expected_seconds", sa.Float),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("error_detail", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("group_name", sa.Text),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("completed_at", _TIME),
    )
    op.create_index("jobs_newest", "jobs", _ORDER)
    op.create_index("jobs_by_owner", "jobs", ["owner", *_ORDER])
    op.create_index("jobs_by_group", "jobs", ["group_name", *_ORDER])
    op.create_index("jobs_by_status", "jobs", ["status", *_ORDER])
    op.create_index("jobs_by_endpoint", "jobs", ["endpoint_id", "status", "completed_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("request_id", sa.String(200)),
        sa.Column("claimed_at", _TIME, nullable=False),
    )
    op.create_table(
        "fal_keys",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("fetched_at", _TIME, nullable=False),
    )


def downgrade() -> None:
    for table in ("fal_keys", "idempotency_keys", "jobs"):
        op.drop_table(table)

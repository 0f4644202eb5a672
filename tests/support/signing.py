"""Webhooks as Hookcast sends them, signed by the official library of Standard Webhooks."""

import json
import uuid
from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

from support.backends import SECRET

OTHER_SECRET = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLg=="


def event(owner: str, kind: str = "job.completed", **members: object) -> bytes:
    """Return the body of an event of a job of this owner."""
    job = {"requestId": str(uuid.uuid4()), "status": kind.removeprefix("job."), "version": 3, "owner": owner, **members}
    told = {"type": kind, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "data": job}
    return json.dumps(told, ensure_ascii=False).encode()


def signed(body: bytes, *secrets: str, webhook_id: str | None = None, age: timedelta = timedelta(0)) -> dict[str, str]:
    """Return the headers of a webhook, with a signature for each secret, sent this long ago."""
    at = datetime.now(UTC) - age
    name = webhook_id or f"msg_{uuid.uuid4().hex}"
    signatures = [Webhook(secret).sign(name, at, body.decode()) for secret in secrets or (SECRET,)]
    return {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }

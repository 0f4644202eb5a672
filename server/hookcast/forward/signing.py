"""Signatures of the webhooks that Hookcast sends: HMAC-SHA256 over id, time and body; pure.

Source: the Standard Webhooks specification 1.0 (github.com/standard-webhooks/standard-webhooks, "Signature scheme").
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"


def signed_headers(keys: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a webhook; `timestamp` is the time of this attempt in unix seconds.

    There is one signature for each key, so that a receiver with any of them verifies it (`keys.signing_keys`).
    """
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(f"v1,{signature}" for signature in signatures),
    }

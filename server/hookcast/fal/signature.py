"""fal's webhook signature: Ed25519 over four lines; pure.

Source: fal's documentation, "Webhooks API", section "Verifying your webhook".
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from hookcast.errors import SignatureInvalid, SignatureMissing, TimestampOutOfRange

REQUEST_ID = "x-fal-webhook-request-id"
USER_ID = "x-fal-webhook-user-id"
TIMESTAMP = "x-fal-webhook-timestamp"
SIGNATURE = "x-fal-webhook-signature"
WINDOW_SECONDS = 300

SIGNED_NAMES = (REQUEST_ID, USER_ID, TIMESTAMP, SIGNATURE)
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_HEX_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The four signature headers of a webhook, well-formed but not verified yet."""

    request_id: str
    user_id: str
    timestamp: str
    signature: str

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "SignedHeaders":
        """Read the four headers from a case-insensitive mapping, without blanks around them (RFC 9110 section 5.5).

        Raises SignatureMissing when one of them is absent or empty; TimestampOutOfRange and SignatureInvalid when the
        timestamp or the signature has another form.
        """
        values = [headers.get(name, "").strip(" \t") for name in SIGNED_NAMES]
        if not all(values):
            missing = [name for name, value in zip(SIGNED_NAMES, values, strict=True) if not value]
            raise SignatureMissing(f"The webhook has no header {', '.join(missing)}.")
        read = cls(*values)
        if not _UNIX_SECONDS.fullmatch(read.timestamp):
            raise TimestampOutOfRange("The webhook's timestamp is not a number of unix seconds.")
        if not _HEX_SIGNATURE.fullmatch(read.signature):
            raise SignatureInvalid("The webhook's signature is not 64 bytes in hexadecimal.")
        return read


def signed_message(*, request_id: str, user_id: str, timestamp: str, body: bytes) -> bytes:
    """Return the bytes that fal signs: four lines in UTF-8, no newline after the last."""
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join((request_id, user_id, timestamp, digest)).encode()


def verify(headers: SignedHeaders, body: bytes, keys: Iterable[VerifyKey], *, now: float) -> None:
    """Verify the signature of the raw `body` against every key; `now` is unix seconds.

    Raises TimestampOutOfRange beyond ±300 s, and SignatureInvalid when no key matches.
    """
    check_timestamp(headers, now=now)
    message = signed_message(
        request_id=headers.request_id,
        user_id=headers.user_id,
        timestamp=headers.timestamp,
        body=body,
    )
    signature = bytes.fromhex(headers.signature)
    if not any(_fits(key, message, signature) for key in keys):
        raise SignatureInvalid("None of fal's keys signed this webhook.")


def check_timestamp(headers: SignedHeaders, *, now: float) -> None:
    """Raise TimestampOutOfRange unless the timestamp is within ±300 s of `now` (unix seconds)."""
    if abs(now - int(headers.timestamp)) > WINDOW_SECONDS:
        raise TimestampOutOfRange(f"The webhook was signed more than {WINDOW_SECONDS} s away from this server's clock.")


def decode_key(x: str) -> VerifyKey:
    """Return the Ed25519 key in a JWK's `x` (RFC 8037), base64url with or without padding.

    Raises ValueError when it is not 32 bytes.
    """
    text = x.rstrip("=")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return VerifyKey(raw)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError("not an Ed25519 public key in base64url") from error


def _fits(key: VerifyKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(message, signature)
    except BadSignatureError:
        return False
    return True

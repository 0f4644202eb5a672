"""Types of settings that hold keys and secrets.

Each type validates its value: a ValueError says what the value must be, and quotes nothing of it.
"""

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from hookcast.urls import listed

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64


def _fal_key(secret: SecretStr) -> SecretStr:
    key = secret.get_secret_value()
    scheme, _, rest = key.partition(" ")
    if scheme.lower() in {"key", "bearer"} and rest:
        raise ValueError(f"must be the key alone, without `{scheme}` before it")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ValueError("must be visible ASCII characters; copy it again from https://fal.ai/dashboard/keys")
    return secret


def _api_keys(secret: SecretStr) -> SecretStr:
    keys = listed(secret.get_secret_value())
    if not keys or not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise ValueError("must be one or more keys of visible ASCII characters, separated by commas")
    return secret


def _token_secret(secret: SecretStr) -> SecretStr:
    import jwt  # noqa: PLC0415 - with cryptography 40 ms and 9 MiB, which a health check need not take

    try:  # reject asymmetric keys: their public half is published
        parts = listed(secret.get_secret_value())
        for part in (secret.get_secret_value() if parts else "", *parts):
            jwt.get_algorithm_by_name("HS256").prepare_key(part)
    except (jwt.InvalidKeyError, UnicodeEncodeError):
        raise ValueError(
            "must be random text, such as the output of `openssl rand -hex 32`, not a PEM, SSH or JWK key"
        ) from None
    return secret


def signing_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys of secrets like `whsec_…` (Standard Webhooks 1.0): each signs while a secret is being rotated.

    Raises ValueError unless each is 24 to 64 bytes in base64.
    """
    wrong = ValueError(
        'must be whsec_ and 24 to 64 random bytes in base64, as of `echo "whsec_$(openssl rand -base64 32)"`; '
        "several are separated by commas"
    )
    keys = []
    for part in listed(text):
        prefix, digits = part[: len(_PREFIX)], part[len(_PREFIX) :].rstrip("=")
        try:
            key = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise wrong from None
        if prefix != _PREFIX or not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
            raise wrong
        keys.append(key)
    if not keys:
        raise wrong
    return tuple(keys)


def _forward_secret(secret: SecretStr) -> SecretStr:
    signing_keys(secret.get_secret_value())
    return secret


FalKey = Annotated[SecretStr, AfterValidator(_fal_key)]
ApiKeys = Annotated[SecretStr, AfterValidator(_api_keys)]
TokenSecret = Annotated[SecretStr, AfterValidator(_token_secret)]
ForwardSecret = Annotated[SecretStr, AfterValidator(_forward_secret)]

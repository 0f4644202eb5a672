"""Types of settings that hold keys and secrets.

Each type validates its value: a ValueError says what the value must be, and quotes nothing of it.
"""

from typing import Annotated

import jwt
from pydantic import AfterValidator, SecretStr

from hookcast.urls import listed


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
    try:  # reject asymmetric keys: their public half is published
        for part in (secret.get_secret_value(), *listed(secret.get_secret_value())):
            jwt.get_algorithm_by_name("HS256").prepare_key(part)
    except (jwt.InvalidKeyError, UnicodeEncodeError):
        raise ValueError(
            "must be random text, such as the output of `openssl rand -hex 32`, not a PEM, SSH or JWK key"
        ) from None
    return secret


FalKey = Annotated[SecretStr, AfterValidator(_fal_key)]
ApiKeys = Annotated[SecretStr, AfterValidator(_api_keys)]
TokenSecret = Annotated[SecretStr, AfterValidator(_token_secret)]

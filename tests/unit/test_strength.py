"""Keys and secrets that could be guessed are told from those that could not."""

import secrets
import uuid

import pytest

from hookcast.strength import KEY_BYTES, SECRET_BYTES, weakness


@pytest.mark.parametrize(
    "text",
    [
        "k",
        "short",
        "key-1234",
        "secret",
        "changeme",
        "x" * 15,
        "x" * 40,
        "0" * 64,
        "test-test-test-test",
        "secretsecretsecret",
        "my-super-secret-api-key-123",
        "SuperSecretPassword123",
        "change-me-before-production-9f8e7d",
        "CHANGE_ME_CHANGE_ME_CHANGE_ME",
        "replace_me_with_a_long_random_text",
        "your-256-bit-secret-your-256-bit-secret",
        "123456789012345678901234567890",
        "abcabcabcabcabcabcabc",
        "1234567890123456",
        "abcdefghijklmnopqrstuvwxyz123456",
        "qwertyuiopasdfghjklzxcvbnm123456",
        "fedcba9876543210fedcba9876543210-x",
        "super-secret-jwt-token-with-at-least-32-characters-long",
        "development-secret-do-not-use-in-production",
        "thisisasecretthisisasecret12345678",
        "default-secret-key-for-hookcast-1234",
        "<your-api-key-goes-in-here>",
        "<output of openssl rand -hex 32>",
        "{{ .Values.hookcast.apiKeys.first }}",
        "${HOOKCAST_BACKEND_CREDENTIAL_1}",
        "[paste here what openssl printed]",
        "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6",
    ],
)
def test_what_could_be_guessed_is_weak(text: str) -> None:
    """The reason does not quote it."""
    why = weakness(text, KEY_BYTES)
    assert why is not None
    assert len(text) < 10 or text not in why


@pytest.mark.parametrize("size", [SECRET_BYTES - 1, SECRET_BYTES])
def test_a_secret_needs_32_bytes(size: int) -> None:
    """However random (RFC 7518, section 3.2)."""
    text = secrets.token_hex(SECRET_BYTES)[:size]
    assert (weakness(text, SECRET_BYTES) is None) == (size == SECRET_BYTES)


def test_what_is_random_is_not_weak() -> None:
    """As people make it: hex, base64, a UUID, with a prefix."""
    for _ in range(300):
        keys = secrets.token_hex(16), secrets.token_urlsafe(24), str(uuid.uuid4()), f"hk_{secrets.token_hex(12)}"
        assert [weakness(text, KEY_BYTES) for text in keys] == [None] * 4, keys
        long = secrets.token_hex(32), secrets.token_urlsafe(32)
        assert [weakness(text, SECRET_BYTES) for text in long] == [None] * 2, long

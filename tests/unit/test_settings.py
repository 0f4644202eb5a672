"""Addresses that cannot work are refused at the start, not at the first job."""

import pytest

from hookcast.errors import SettingsError
from hookcast.settings import load_settings


@pytest.mark.parametrize(
    "address",
    [
        "fal",
        "ftp://fal.test",
        "https://",
        "https://fal.test?x=1",
        "https://fal.test#x",
        "http://[::1",
        "http://x:99999",
    ],
)
@pytest.mark.parametrize("name", ["public_url", "fal_queue_url", "fal_jwks_url"])
def test_a_wrong_address_is_refused(name: str, address: str) -> None:
    """By its name."""
    with pytest.raises(SettingsError, match=f"HOOKCAST_{name.upper()}"):
        load_settings(**{name: address})


@pytest.mark.parametrize("address", ["http://127.0.0.1:8001", "https://fal.test/base/", "http://[::1]:80"])
def test_a_right_address_is_kept_without_its_last_slash(address: str) -> None:
    """Paths are made by appending to it."""
    assert load_settings(fal_queue_url=address).fal_queue_url == address.rstrip("/")


def test_another_address_needs_a_key_a_secret_or_a_provider() -> None:
    """And the refusal says what to set."""
    with pytest.raises(SettingsError, match=r"HOOKCAST_API_KEYS.*HOOKCAST_TOKEN_SECRET.*openssl"):
        load_settings(host="0.0.0.0")  # noqa: S104
    provider = {"token_jwks_url": "https://idp.test/jwks.json", "token_issuer": "i", "token_audience": "a"}
    for given in ({"api_keys": "k"}, {"token_secret": "s" * 32}, provider):
        assert not load_settings(host="0.0.0.0", **given).open  # noqa: S104


@pytest.mark.parametrize(("text", "keys"), [("a", ("a",)), (" a , b,", ("a", "b"))])
def test_keys_are_separated_by_commas(text: str, keys: tuple[str, ...]) -> None:
    """With or without spaces."""
    assert load_settings(api_keys=text).keys == keys


@pytest.mark.parametrize("text", [" ", ",", "a b", "schlüssel", "a\nb"])
def test_keys_that_no_header_can_carry_are_refused(text: str) -> None:
    """Rather than never matching."""
    with pytest.raises(SettingsError, match="HOOKCAST_API_KEYS") as caught:
        load_settings(api_keys=text)
    assert "schlüssel" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["app.example.com", "https://app.example.com/", "https://a.test/x", "ftp://a.test", "https://"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """A browser would never send it."""
    with pytest.raises(SettingsError, match="HOOKCAST_ALLOWED_ORIGINS"):
        load_settings(allowed_origins=text)


def test_what_will_surprise_is_warned_of() -> None:
    """Each with the setting that mends it."""
    told = " ".join(load_settings(token_secret="short").warnings())
    for name in ("HOOKCAST_API_KEYS", "HOOKCAST_TOKEN_SECRET is shorter", "HOOKCAST_FAL_USER_ID"):
        assert name in told
    assert "HOOKCAST_TOKEN_SECRET" in " ".join(load_settings(api_keys="k").warnings())
    complete = load_settings(
        api_keys="k", token_secret="s" * 32, fal_user_id="u", fal_key="f", public_url="https://h.example"
    )
    assert complete.warnings() == []


def test_secrets_are_not_in_the_repr() -> None:
    """Of settings that somebody prints."""
    given = load_settings(api_keys="key-1234", token_secret="secret-5678", fal_key="fal-9012")
    assert not any(secret in repr(given) + str(given) for secret in ("key-1234", "secret-5678", "fal-9012"))


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1",
        "redis://",
        "redis://user:sec#ret@127.0.0.1",
        "redis://user:12#sec@127.0.0.1",
        "redis://user:12/sec@127.0.0.1",
        "redis://user:12?sec@127.0.0.1",
        "redis://user:[sec]@127.0.0.1",
        "redis://127.0.0.1:99999",
        "redis://127.0.0.1:0",
        "redis://127.0.0.1?protocol=3",
        "redis://127.0.0.1?ssl_cert_reqs=none",
        "rediss://127.0.0.1?ssl_cert_reqs=sec",
        "rediss://127.0.0.1?ssl_ca_certs=/sec/there/is/no/such.pem",
    ],
)
def test_a_wrong_address_of_redis_is_refused(address: str) -> None:
    """Without a word of it: a sign that was not escaped may cut a password anywhere."""
    with pytest.raises(SettingsError, match="HOOKCAST_REDIS_URL") as caught:
        load_settings(redis_url=address)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1",
        "rediss://user:p%23@[::1]:6379/0",
        f"rediss+cluster://:p@host?ssl_ca_certs={__file__}&ssl_check_hostname=false",
    ],
)
def test_a_right_address_of_redis_is_kept(address: str) -> None:
    """As it is."""
    assert load_settings(redis_url=address).bus_url == address

"""Addresses that cannot work are refused at the start, not at the first job."""

import re

import pytest

from hookcast.errors import SettingsError
from hookcast.settings import load_settings
from support.access import API_KEY, SECRET


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
        "http://ä..b",
    ],
)
@pytest.mark.parametrize("name", ["public_url", "fal_queue_url", "fal_jwks_url"])
def test_a_wrong_address_is_refused(name: str, address: str) -> None:
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
    for given in ({"api_keys": API_KEY}, {"token_secret": SECRET}, provider):
        assert not load_settings(host="0.0.0.0", **given).open  # noqa: S104


@pytest.mark.parametrize(("text", "keys"), [("a", ("a",)), (" a , b,", ("a", "b"))])
def test_keys_are_separated_by_commas(text: str, keys: tuple[str, ...]) -> None:
    assert load_settings(api_keys=text).keys == keys


@pytest.mark.parametrize("text", [" ", ",", "a b", "schlüssel", "a\nb"])
def test_keys_that_no_header_can_carry_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="HOOKCAST_API_KEYS") as caught:
        load_settings(api_keys=text)
    assert "schlüssel" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("app.example.com", "like"),
        ("ftp://a.test", "like"),
        ("https://", "like"),
        ("https://app.example.com/", "https://app.example.com instead"),
        ("https://a.test, https://a.test/x?y", "https://a.test instead"),
        ("https://A.Test", "https://a.test instead"),
        ("https://a.test:443", "https://a.test instead"),
        ("http://user@a.test:80/", "http://a.test instead"),
        ("https://bücher.test", "https://xn--bcher-kva.test instead"),
    ],
)
def test_what_is_no_origin_is_refused(text: str, right: str) -> None:
    """A browser would never send it; the message has what it sends."""
    with pytest.raises(SettingsError, match=f"HOOKCAST_ALLOWED_ORIGINS.* {re.escape(right)}"):
        load_settings(allowed_origins=text)


def test_origins_are_kept_as_browsers_send_them() -> None:
    """With a port where it is not the scheme's."""
    text = "https://app.example.com, http://localhost:3000,http://[::1]:5173, https://xn--bcher-kva.test, *"
    assert load_settings(allowed_origins=text).origins == tuple(re.split(", ?", text))


WEAK = {"api_keys": f"{API_KEY}, changeme", "token_secret": f"{SECRET}, too-short"}


@pytest.mark.parametrize(
    "where",
    [{"host": "0.0.0.0"}, {"host": "::"}, {"host": "192.168.1.5"}, {"public_url": "https://hooks.example.com"}],  # noqa: S104
)
def test_weak_keys_and_secrets_are_refused_where_others_come(where: dict[str, str]) -> None:
    """By its address or a proxy's, in one message; none of them is quoted."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**WEAK, **where, token_issuer="x")
    message = str(caught.value)
    assert "HOOKCAST_API_KEYS (number 2)" in message
    assert "HOOKCAST_TOKEN_SECRET (number 2) is too short" in message
    assert "HOOKCAST_TOKEN_JWKS_URL" in message
    assert not any(text in message for text in (API_KEY, SECRET, "changeme", "too-short"))
    assert load_settings(**where, api_keys=API_KEY, token_secret=SECRET).exposed


def test_several_secrets_are_separated_by_commas() -> None:
    assert load_settings(token_secret=" new , old,").secrets == ("new", "old")


@pytest.mark.parametrize("scheme", ["Key", "key", "Bearer"])
def test_a_fal_key_with_the_header_s_first_word_is_refused(scheme: str) -> None:
    """It was copied from a request."""
    with pytest.raises(SettingsError, match=f"FAL_KEY: must be the key alone, without `{scheme}`"):
        load_settings(fal_key=f"{scheme} id:secret")


def test_a_public_address_with_the_webhook_s_path_is_refused() -> None:
    """The path is appended to it."""
    with pytest.raises(SettingsError, match=r"HOOKCAST_PUBLIC_URL: .*without /api/webhooks/fal"):
        load_settings(public_url="https://x.test/api/webhooks/fal")


def test_secrets_are_not_in_the_repr() -> None:
    """Of settings that somebody prints."""
    given = load_settings(api_keys="key-1234", token_secret="secret-5678", fal_key="fal-9012")
    assert not any(secret in repr(given) + str(given) for secret in ("key-1234", "secret-5678", "fal-9012"))


@pytest.mark.parametrize(
    "secret",
    ["-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", "ssh-ed25519 AAAAC3", '{"kty":"oct","k":"AA"}'],
)
def test_a_key_of_a_pair_is_no_secret(secret: str) -> None:
    """Tokens that anybody could sign; it shows at the start, and is not shown."""
    with pytest.raises(SettingsError, match="HOOKCAST_TOKEN_SECRET: must be random text") as caught:
        load_settings(token_secret=secret)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("name", ["fal_jwks_url", "token_jwks_url"])
def test_an_address_of_public_keys_holds_no_password(name: str) -> None:
    """It is in logs, and in answers to those who are not let in."""
    with pytest.raises(SettingsError, match=f"HOOKCAST_{name.upper()}") as caught:
        load_settings(**{name: "https://user:hunter2@idp.test/jwks", "token_issuer": "x", "token_audience": "y"})
    assert "hunter2" not in str(caught.value)


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
        "redis://127.0.0.1?sec=3",
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
        "valkey://127.0.0.1?protocol=3",
        "rediss://user:p%23@[::1]:6379/0",
        f"rediss+cluster://:p@host?ssl_ca_certs={__file__}&ssl_check_hostname=false",
    ],
)
def test_a_right_address_of_redis_is_kept(address: str) -> None:
    assert load_settings(redis_url=address).bus_url == address


@pytest.mark.parametrize("text", ["*", "proxy.internal", "10.0.0.1/8", "10.0.0.0/8;::1", "10.0.0.0/8, *"])
def test_what_names_no_proxy_is_refused(text: str) -> None:
    """With `*` everybody could claim any address."""
    with pytest.raises(SettingsError, match="HOOKCAST_FORWARDED_ALLOW_IPS"):
        load_settings(forwarded_allow_ips=text)


def test_proxies_are_addresses_and_networks() -> None:
    """Of either version; this machine unless the setting says otherwise."""
    assert load_settings(forwarded_allow_ips="10.0.0.0/8, 2001:db8::1,").proxies == ["10.0.0.0/8", "2001:db8::1"]
    assert load_settings().proxies == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("text", ["“abc”", "a b", "schlüssel", "a\nb"])
def test_a_fal_key_that_no_header_can_carry_is_refused(text: str) -> None:
    """At the start, not by each submit; the key is not shown."""
    with pytest.raises(SettingsError, match="FAL_KEY") as caught:
        load_settings(fal_key=text)
    assert text not in str(caught.value)


@pytest.mark.parametrize("port", ["abc", "0", "99999"])
def test_a_database_at_no_port_is_refused(port: str) -> None:
    """Without a word of its password."""
    with pytest.raises(SettingsError, match="HOOKCAST_DATABASE_URL") as caught:
        load_settings(database_url=f"postgresql://u:secret@127.0.0.1:{port}/x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["hookcast", "_jobs2", "x" * 63, "public_jobs", "user"])
def test_a_plain_name_of_a_schema_is_taken(name: str) -> None:
    assert load_settings(database_schema=name).database_schema == name


@pytest.mark.parametrize(
    "name", ["public", "pg_jobs", "information_schema", "Hookcast", "hook-cast", "2jobs", "a.b", 'a"b', "x" * 64, "hö"]
)
def test_a_schema_that_is_not_hookcasts_alone_or_needs_quotes_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="HOOKCAST_DATABASE_SCHEMA: must be a schema for Hookcast alone"):
        load_settings(database_schema=name)


@pytest.mark.parametrize("url", ["sqlite:///x.db?mode=ro", "sqlite:////data/x.db?timeout=5"])
def test_a_sqlite_url_takes_no_parameters(url: str) -> None:
    """They would be dropped without a word."""
    with pytest.raises(SettingsError, match="HOOKCAST_DATABASE_URL: nothing may follow"):
        load_settings(database_url=url)


@pytest.mark.parametrize("secret", [",", " , ", ",,"])
def test_a_list_of_no_secrets_is_no_setting(secret: str) -> None:
    """It would leave the server without one."""
    with pytest.raises(SettingsError, match="HOOKCAST_TOKEN_SECRET: must be random text"):
        load_settings(token_secret=secret)


def test_an_address_may_have_the_brackets_of_a_url() -> None:
    """They are no part of it (RFC 3986 section 3.2.2)."""
    given = load_settings(host="[::1]", fal_queue_url="http://127.0.0.1:9000")
    assert (given.host, given.webhook_url) == ("::1", "http://[::1]:8000/api/webhooks/fal")

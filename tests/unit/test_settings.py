"""Addresses that cannot work are refused at the start, not at the first job."""

from pathlib import Path

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
        "http://ä..b",
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


def test_an_open_server_with_a_public_address_is_warned_of() -> None:
    """A tunnel or a proxy lets the world in where the loopback address does not."""
    assert any("whoever reaches" in hint for hint in load_settings(public_url="https://x.example").warnings())
    for kept in ({"public_url": "http://127.0.0.1:8000"}, {"public_url": "https://x.example", "api_keys": "k"}, {}):
        assert not any("whoever reaches" in hint for hint in load_settings(**kept).warnings())


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_keys_that_are_set_and_empty_open_no_server_to_the_world(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either they are wrong, or they count as not set, and then the server stays on loopback."""
    monkeypatch.setenv("HOOKCAST_API_KEYS", value)
    with pytest.raises(SettingsError):
        load_settings(host="0.0.0.0")  # noqa: S104


def test_an_empty_variable_does_not_undo_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in `.env` count; those in the environment come first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("HOOKCAST_API_KEYS=from-the-file\n")
    monkeypatch.setenv("HOOKCAST_API_KEYS", "")
    assert load_settings().keys == ("from-the-file",)
    monkeypatch.setenv("HOOKCAST_API_KEYS", "from-the-environment")
    assert load_settings().keys == ("from-the-environment",)


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


def test_space_around_a_fal_key_is_left_out() -> None:
    """It comes along when a key is copied."""
    key = load_settings(fal_key=" fal-1234\n").fal_key
    assert key is not None
    assert key.get_secret_value() == "fal-1234"


@pytest.mark.parametrize("port", ["abc", "0", "99999"])
def test_a_database_at_no_port_is_refused(port: str) -> None:
    """Without a word of its password."""
    with pytest.raises(SettingsError, match="HOOKCAST_DATABASE_URL") as caught:
        load_settings(database_url=f"postgresql://u:secret@127.0.0.1:{port}/x")
    assert "secret" not in str(caught.value)

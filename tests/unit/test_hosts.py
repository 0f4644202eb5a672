"""Hosts that no resolver can look up are refused in every setting that holds a URL, with one line."""

import pytest

from hookcast.errors import SettingsError
from hookcast.hosts import is_host
from hookcast.settings import load_settings

KEYS = {"api_keys": "k0" * 32, "forward_secret": "whsec_" + "QUJD" * 12}
ABSURD = {
    "label of 64": "a" * 64 + ".example",
    "label of 64 once encoded": "ü" * 64 + ".example",
    "name of 300": ".".join(["abcdefghi"] * 30),
    "empty label": "a..b",
    "dots": "..",
    "blank": "exa mple",
    "percent sign": "%zz",
    "NUL": "%00",
    "control character": "a\x00b",
    "invisible character": "\u200b",
    "half a pair": "\ud800",
    "wildcard": "*",
    "brackets not closed": "[::1",
    "text behind brackets": "[::1]x",
    "no address in brackets": "[v1.x]",
    "empty brackets": "[]",
    "no IPv4 address": "256.256.256.256",
    "digits of another script": "٣.٣.٣.٣",
    "superscript": "²³",
    "Roman numeral": "ⅷ.com",
    "wide letters": "\uff21\uff22.com",
    "port too large": "a:99999",
    "port of 23 digits": "a:99999999999999999999999",
    "port 0": "a:0",
    "negative port": "a:-1",
    "port with a sign": "a:+1",
    "port in digits of another script": "a:٣",
}
URLS = [
    ("database_url", "postgresql://u:p@{}/db"),
    ("database_url", "postgresql:///db?host={}"),
    ("redis_url", "rediss://u:p@{}/0"),
    ("redis_url", "redis+cluster://{}"),
    ("fal_queue_url", "https://{}"),
    ("fal_jwks_url", "https://{}/jwks.json"),
    ("public_url", "https://{}"),
    ("forward_url", "https://{}/hook"),
    ("forward_fal", "https://{}/hook"),
    ("media_public_url", "https://{}"),
    ("token_jwks_url", "https://{}/jwks.json"),
    ("allowed_origins", "https://{}"),
    ("forwarded_allow_ips", "{}"),
]


@pytest.mark.parametrize("host", ABSURD.values(), ids=list(ABSURD))
@pytest.mark.parametrize(("name", "url"), URLS)
def test_an_absurd_host_is_refused_with_one_line(name: str, url: str, host: str) -> None:
    """Which can be printed, and names the setting."""
    with pytest.raises(SettingsError) as raised:
        load_settings(**KEYS, **{name: url.format(host)})
    line = str(raised.value)
    assert f"HOOKCAST_{name.upper()}" in line
    assert len(line.encode().splitlines()) == 1


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "db_1",
        "my-db.internal.",
        "10.0.0.7",
        "::1",
        "fe80::1%eth0",
        "bücher.example",
        "faß.de",
        "例え.jp",
        "हिन्दी.भारत",
    ],
)
def test_a_name_or_address_is_a_host(host: str) -> None:
    """Also of a container, and in any script."""
    assert is_host(host)


def test_a_port_is_checked_also_without_a_host() -> None:
    with pytest.raises(SettingsError, match="port"):
        load_settings(database_url="postgresql:///db?port=garbage")

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

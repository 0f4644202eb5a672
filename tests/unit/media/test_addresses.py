"""Where files are fetched from: nothing leaves for an address that is not public, whatever way it is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookcast.media.addresses import is_public, target_of, usable
from hookcast.media.failures import Left, Reason
from support.forbidden import RESOLVED, WRITTEN

PUBLIC = ["151.101.1.1"]


@pytest.mark.parametrize("url", WRITTEN, ids=ascii)
def test_a_url_is_refused_for_what_it_says(url: str) -> None:
    with pytest.raises(Left) as refused:
        target_of(url, allow_local=False)
    assert refused.value.reason is Reason.REFUSED
    assert str(refused.value).startswith("Hookcast does not fetch from this address: ")


@pytest.mark.parametrize("address", RESOLVED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """As it is, and when a name leads there."""
    host = f"[{address}]" if ":" in address else address
    for url in (f"https://{host}/", "https://cdn.fal.media/"):
        target = target_of(url, allow_local=False)
        with pytest.raises(Left) as refused:
            usable(target, [address], allow_local=False)
        assert refused.value.reason is Reason.REFUSED


def test_of_several_addresses_the_public_ones_are_used() -> None:
    """A resolver of an IPv6-only network adds NAT64's, and a hostile one adds ours."""
    target = target_of("https://cdn.fal.media/", allow_local=False)
    found = usable(
        target, ["64:ff9b::808:808", "127.0.0.1", "8.8.8.8", "fe80::1%eth0", "2606:4700::1"], allow_local=False
    )
    assert found == ["8.8.8.8", "2606:4700::1"]


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://v3b.fal.media/files/b/lion/a.png", "v3b.fal.media", "/files/b/lion/a.png"),
        ("HTTPS://V3B.FAL.MEDIA./a#part", "v3b.fal.media", "/a"),
        ("https://fal.media", "fal.media", "/"),
        ("https://fal.media?x=1", "fal.media", "/?x=1"),
        ("https://fal.media:443/a%20b?x=%2F&y={z}|[1]", "fal.media", "/a%20b?x=%2F&y={z}|[1]"),
        ("https://bücher.example.com/ü?é", "xn--bcher-kva.example.com", "/%C3%BC?%C3%A9"),
        ("https://my_bucket.s3.amazonaws.com/k", "my_bucket.s3.amazonaws.com", "/k"),
        ("https://8.8.8.8/x", "8.8.8.8", "/x"),
        ("https://[2606:4700:0:0::1]/x", "2606:4700::1", "/x"),
    ],
)
def test_a_public_url_leads_to_its_host(url: str, host: str, path: str) -> None:
    target = target_of(url, allow_local=False)
    assert (target.tls, target.host, target.port, target.path, target.local_only) == (True, host, 443, path, False)


def test_the_host_header_names_a_port_that_is_not_usual() -> None:
    assert target_of("https://[2606:4700::1]/", allow_local=False).authority == "[2606:4700::1]"
    assert target_of("http://127.0.0.1:8077/", allow_local=True).authority == "127.0.0.1:8077"


def test_with_the_emulator_loopback_is_allowed_and_nothing_else() -> None:
    for url in ("http://127.0.0.1:8077/a", "http://localhost:8077/a", "https://fal.media:8443/", "http://fal.media/"):
        target = target_of(url, allow_local=True)
        assert target.local_only
        assert usable(target, ["127.0.0.1", "::1"], allow_local=True) == ["127.0.0.1", "::1"]
        for address in [*PUBLIC, "10.0.0.1", "169.254.169.254", "0.0.0.0"]:  # noqa: S104 - an address to refuse
            with pytest.raises(Left):
                usable(target, [address], allow_local=True)


@given(st.ip_addresses())
def test_no_address_is_public_that_the_standard_library_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.text())
def test_any_text_is_a_target_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://fal.media/{text}"):
        try:
            target = target_of(url, allow_local=False)
        except Left:
            continue
        assert target.host.isascii()
        assert target.path.isascii()
        assert target.path.isprintable()
        assert " " not in target.path

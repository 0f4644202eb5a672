"""By what a client's streams are counted."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from hookcast.auth import Caller
from hookcast.routes.addresses import address_of, holders_of

TOKEN = Caller(name="token:abc")


def connection(host: str | None) -> HTTPConnection:
    """A request whose client is this, as the server or its proxy says."""
    client = None if host is None else (host, 4711)
    return HTTPConnection({"type": "http", "headers": [], "client": client})


@pytest.mark.parametrize(
    ("host", "holder"),
    [
        ("203.0.113.7", "address:203.0.113.7"),
        ("::ffff:203.0.113.7", "address:203.0.113.7"),
        ("2001:db8:1:2:3::4", "address:2001:db8:1:2::"),
        ("2001:0DB8:1:2::9", "address:2001:db8:1:2::"),
        ("8.8.8.8", "address:8.8.8.8"),
    ],
)
def test_a_client_is_its_address_or_its_network_of_ipv6(host: str, holder: str) -> None:
    """However the address is written."""
    assert holders_of(connection(host), Caller(full=True)) == (holder,)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1"),
        *("::1", "fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1", "unknown", "", "_hidden", "1.2.3.4.5", None),
    ],
)
def test_what_may_be_a_proxy_of_ones_own_is_not_counted(host: str | None) -> None:
    assert holders_of(connection(host), Caller(full=True)) == ()
    assert holders_of(connection(host), TOKEN) == ("token:abc",)


OWN = [ipaddress.ip_network(name) for name in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
OWN += [ipaddress.ip_network(name) for name in ("169.254.0.0/16", "100.64.0.0/10")]
EDGES = [address + step for network in OWN for address in (network[0], network[-1]) for step in (-1, 0, 1)]


@given(st.one_of(st.sampled_from(EDGES), st.ip_addresses(v=4)))
def test_an_address_is_counted_unless_its_network_is_private(address: ipaddress.IPv4Address) -> None:
    """As Python's own classes see it."""
    private = any(address in network for network in OWN)
    assert holders_of(connection(str(address)), Caller(full=True)) == (() if private else (f"address:{address}",))


@pytest.mark.parametrize("host", ["8.8.8.08", "8.8.8", "8.8.8.8 ", "8.8.8.8\n", "8.8.8.8\x00", "8.8.8.256", "\ud800"])
def test_what_is_no_address_is_not_counted(host: str) -> None:
    assert holders_of(connection(host), Caller(full=True)) == ()


def test_a_key_is_not_counted() -> None:
    """It is the operator's own."""
    assert holders_of(connection("8.8.8.8"), Caller(full=True, name="key:1")) == ("address:8.8.8.8",)
    assert holders_of(connection("8.8.8.8"), TOKEN) == ("address:8.8.8.8", "token:abc")


def test_only_an_address_is_logged() -> None:
    assert address_of(connection("fe80::1%eth0")) == "fe80::1"
    assert address_of(connection("x\r\ny")) is None
    assert address_of(connection(None)) is None

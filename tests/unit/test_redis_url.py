"""URLs of Redis and Valkey as clients and providers write them."""

import pytest

from hookcast.redis_url import RedisUrl, parse

GOOD = {
    "redis://h": RedisUrl("redis://h", cluster=False),
    "valkey://u:p%40@h:6380/2": RedisUrl("redis://u:p%40@h:6380/2", cluster=False),
    "valkeys://h": RedisUrl("rediss://h", cluster=False),
    "valkey+cluster://h": RedisUrl("redis://h", cluster=True),
    "valkeys+cluster://h": RedisUrl("rediss://h", cluster=True),
    "rediss+cluster://:p@h:6379": RedisUrl("rediss://:p@h:6379", cluster=True),
    "redis://h?protocol=3": RedisUrl("redis://h", cluster=False),
    "redis://h?protocol=2&decode_responses=True&socket_timeout=5&max_connections=9": RedisUrl("redis://h", False),
    "redis://h?db=3&client_name=x": RedisUrl("redis://h?db=3", cluster=False),
    "rediss://h?ssl_cert_reqs=CERT_NONE": RedisUrl("rediss://h?ssl_cert_reqs=none", cluster=False),
    "rediss://h?ssl_check_hostname=False": RedisUrl("rediss://h?ssl_check_hostname=false", cluster=False),
    "redis://h?username=u&password=p": RedisUrl("redis://h?username=u&password=p", cluster=False),
}


@pytest.mark.parametrize(("text", "parsed"), GOOD.items())
def test_a_url_is_translated_for_redis_py(text: str, parsed: RedisUrl) -> None:
    """Words without effect here are left out: timeouts, and the protocol's version."""
    assert parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["http://h", "redis://", "redis://h?nonsense=1", "redis://h?db=x", "redis://h?ssl_cert_reqs=none", "redis:h"],
)
def test_what_cannot_be_honoured_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|may be|only for TLS"):
        parse(text)

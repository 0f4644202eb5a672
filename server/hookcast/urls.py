"""Types of settings that hold URLs, origins and networks.

Each type validates its value: a ValueError says what the value must be. The messages quote nothing of a URL that may
contain a password.
"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from hookcast import postgres_url, redis_url
from hookcast.hosts import is_host

_PORTS = {"http": 80, "https": 443}
_PLACE = re.compile(r"(\[[0-9a-fA-F:.]+(%[\w.-]+)?\]|[\w.-]+)(:[0-9]*)?")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is loopback: reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listed(text: str) -> list[str]:
    """Return the parts of a comma-separated list, without blanks around them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _http_url(value: str, *, query: bool = False) -> str:
    wrong = ValueError(f"must be an http:// or https:// URL without {'' if query else 'query and '}fragment")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # which may quote a password
        raise wrong from None
    if (
        parts.scheme not in _PORTS
        or port == 0
        or not (is_host(host) and _PLACE.fullmatch(parts.netloc.rpartition("@")[2]))
    ):
        raise wrong
    if not value.isprintable() or " " in value or parts.fragment or (parts.query and not query):
        raise wrong
    return value.rstrip("/")


def _without_user(value: str) -> str:
    if urlsplit(value).username is not None:
        raise ValueError("must not contain a user name or password: this URL is shown in logs and messages")
    return value


def _key_addresses(value: str) -> str:
    return ",".join(_without_user(_http_url(url.strip(), query=True)) for url in value.split(","))


def _database_url(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if value == "sqlite":
        return SecretStr("sqlite:///hookcast.db")
    if value.startswith("postgres"):
        postgres_url.parse(value)
        return secret
    path = value.removeprefix("sqlite:///")
    if path in {"", value} or path.startswith((":memory:", "file:")):
        raise ValueError(
            "must be postgresql://user:password@host/database, or sqlite:///path/to/file.db (an absolute path has four "
            "slashes)"
        )
    if "?" in path:
        raise ValueError("nothing may follow after the path of a SQLite file, such as ? and parameters")
    return secret


def _redis_url(secret: SecretStr) -> SecretStr:
    redis_url.parse(secret.get_secret_value())
    return secret


def _public_url(value: str) -> str:
    if "/api/webhooks" in urlsplit(value).path:
        raise ValueError("must be the server's own address, without /api/webhooks/fal, which is appended to it")
    return value


def _origins(value: str) -> str:
    for given in listed(value):
        if given != "*" and given != (origin := _origin(given)):
            likely = f"{origin} instead of {given}" if origin else "origins like https://app.example.com, or *"
            raise ValueError(f"must be what browsers send as Origin, separated by commas: {likely}")
    return value


def _origin(url: str) -> str | None:
    """Return the origin of a URL as browsers send it (RFC 6454 section 6.2), None when it has none."""
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or not is_host(parts.hostname) or given == 0:
        return None
    host = parts.hostname.encode("idna").decode()
    port = "" if given in {None, _PORTS[parts.scheme]} else f":{given}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _networks(value: str) -> str:
    for entry in listed(value):
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise ValueError(
                "must be addresses or networks of your proxies, such as 10.0.0.7 or 10.0.0.0/8, separated by commas; "
                "* would let any client claim any address"
            ) from None
    return value


def _media_url(secret: SecretStr) -> SecretStr:
    parts = urlsplit(secret.get_secret_value())
    folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and parts.path != "/"
    bucket = parts.scheme in {"s3", "gs", "az"} and bool(parts.netloc)
    if parts.fragment or not (folder or bucket):
        raise ValueError(
            "must be file:///absolute/folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    return secret


def _forward_url(secret: SecretStr) -> SecretStr:
    _http_url(secret.get_secret_value(), query=True)
    return secret  # as it is: where a slash is missing at its end, frameworks redirect


def check_forward_url(url: str) -> None:
    """Raise ValueError unless webhooks can be sent to this URL."""
    _http_url(url, query=True)


def check_endpoint(url: str) -> None:
    """Raise ValueError unless this is the URL of a storage's API."""
    _without_user(_http_url(url))


HttpAddress = Annotated[str, AfterValidator(_http_url)]
PublicUrl = Annotated[HttpAddress, AfterValidator(_public_url)]
ShownAddress = Annotated[HttpAddress, AfterValidator(_without_user)]
KeyAddresses = Annotated[str, AfterValidator(_key_addresses)]
SchemaName = Annotated[str, AfterValidator(postgres_url.check_schema)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
Origins = Annotated[str, AfterValidator(_origins)]
Networks = Annotated[str, AfterValidator(_networks)]
MediaUrl = Annotated[SecretStr, AfterValidator(_media_url)]
ForwardUrl = Annotated[SecretStr, AfterValidator(_forward_url)]

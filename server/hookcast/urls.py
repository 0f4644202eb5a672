"""Types of settings that hold URLs, origins and networks.

Each type validates its value: a ValueError says what the value must be. The messages quote nothing of a URL that may
contain a password.
"""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, SecretStr

_REDIS_SCHEMES = ("redis", "rediss", "redis+cluster", "rediss+cluster")
_REDIS_SHAPE = (
    "must be redis://, rediss:// (TLS), redis+cluster:// or rediss+cluster://, then user:password@ if it asks, a "
    "host and perhaps a port; in a password write %23 for #, %2F for /, %3F for ?, %40 for @, %25 for %"
)
_PORTS = {"http": 80, "https": 443}
_REDIS_OPTIONS: dict[str, tuple[str, ...]] = {  # redis-py's names and their allowed values; () = a file path
    **dict.fromkeys(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), ()),
    "ssl_cert_reqs": ("required", "none"),
    "ssl_check_hostname": ("true", "false"),
}


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


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    (parts.hostname or "").encode("idna")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// address without query and fragment")
    return value.rstrip("/")


def _without_user(value: str) -> str:
    if urlsplit(value).username is not None:
        raise ValueError("must have no user name or password: this address is shown in logs and messages")
    return value


def _database_url(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if value == "sqlite":
        return SecretStr("sqlite:///hookcast.db")
    scheme, _, rest = value.partition("://")
    if scheme in {"postgres", "postgresql"} and urlsplit(value).hostname and _has_port(value):
        return SecretStr(f"postgresql://{rest}")
    path = rest.removeprefix("/")
    if scheme != "sqlite" or not path or path == rest or path.startswith((":memory:", "file:")):
        raise ValueError(
            "must be postgresql://user:password@host/database, or sqlite:///path/to/file.db (an absolute path has four "
            "slashes)"
        )
    return secret


def _has_port(url: str) -> bool:
    """Return whether the port, if any, is a valid number. urlsplit's error message would contain the password."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _redis_url(secret: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(secret.get_secret_value())
        port, options = parts.port, dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise ValueError(_REDIS_SHAPE) from None
    named = parts.scheme in _REDIS_SCHEMES and parts.hostname and port != 0
    if not named or parts.fragment or not f"0{parts.path.strip('/')}".isdecimal():
        raise ValueError(_REDIS_SHAPE)
    _check_redis_options(parts.scheme, options)
    return secret


def _check_redis_options(scheme: str, options: dict[str, str]) -> None:
    if options.keys() - _REDIS_OPTIONS.keys():
        raise ValueError(f"the words after ? may be {', '.join(_REDIS_OPTIONS)}")
    if options and not scheme.startswith("rediss"):
        raise ValueError(f"{', '.join(options)}: only for TLS, that is rediss:// or rediss+cluster://")
    for name, value in options.items():
        allowed = _REDIS_OPTIONS[name]
        if allowed and value not in allowed:
            raise ValueError(f"{name} must be {' or '.join(allowed)}")
        if not allowed and not Path(value).is_file():
            raise ValueError(f"{name}: there is no such file")


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
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    host = parts.hostname.encode("idna").decode()
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _networks(value: str) -> str:
    for entry in listed(value):
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise ValueError(
                "must be addresses and networks of your proxies like 10.0.0.7 or 10.0.0.0/8, separated by commas; "
                "with * everybody could claim any address"
            ) from None
    return value


HttpAddress = Annotated[str, AfterValidator(_http_url)]
PublicUrl = Annotated[HttpAddress, AfterValidator(_public_url)]
ShownAddress = Annotated[HttpAddress, AfterValidator(_without_user)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
Origins = Annotated[str, AfterValidator(_origins)]
Networks = Annotated[str, AfterValidator(_networks)]

"""The storage that a URL names."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

from hookcast.media.storage.base import Storage
from hookcast.media.storage.local import LocalStorage
from hookcast.media.storage.objects import ObjectStorage

_OPTIONS = {
    "s3": frozenset({"endpoint", "region", "path_style"}),
    "gs": frozenset({"endpoint"}),
    "az": frozenset({"endpoint", "account"}),
}
_NAMES = {("gs", "endpoint"): "base_url", ("az", "endpoint"): "endpoint", ("az", "account"): "account_name"}
# Requests but large uploads, which are ours. A copy inside S3 answers when it is done.
_CLIENT: ClientConfig = {"allow_http": True, "connect_timeout": "10s", "timeout": "300s"}
_RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}


def open_storage(url: str, public_url: str | None) -> Storage:
    """Return the storage of `HOOKCAST_MEDIA_URL`. Raise ValueError, which says what the URL must be.

    `public_url` is what links begin with; without it, those of a directory begin with `/media` and those of a bucket
    are presigned. Nothing is connected to yet. Credentials come from the usual variables of the environment.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStorage(_directory(parts), public_url or "/media")
    if parts.scheme not in _OPTIONS:
        raise ValueError("must be file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    if not parts.hostname or parts.username is not None or parts.port is not None or parts.fragment:
        raise ValueError(f"must be {parts.scheme}://bucket/prefix, without user, port and fragment")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - _OPTIONS[parts.scheme]):
        known = ", ".join(sorted(_OPTIONS[parts.scheme]))
        raise ValueError(f"has an unknown option {unknown[0]}; {parts.scheme}:// takes {known}")
    return ObjectStorage(
        _store(parts.scheme, parts.netloc, unquote(parts.path).strip("/") or None, options), public_url
    )


def _directory(parts: SplitResult) -> Path:
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ValueError("must be file:///directory with three slashes and an absolute path")
    return Path(unquote(parts.path))


def _store(scheme: str, bucket: str, prefix: str | None, options: dict[str, str]) -> S3Store | GCSStore | AzureStore:
    shared: dict[str, Any] = {"prefix": prefix, "client_options": _CLIENT, "retry_config": _RETRIES}
    if scheme == "s3":
        return S3Store(bucket, **shared, **_s3_options(bucket, options))
    shared |= {_NAMES[scheme, name]: value for name, value in options.items()}
    return GCSStore(bucket, **shared) if scheme == "gs" else AzureStore(bucket, **shared)


def _s3_options(bucket: str, options: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: options[name] for name in ("endpoint", "region") if name in options}
    style = options.get("path_style", "true")
    if style not in {"true", "false"}:
        raise ValueError("has path_style, which must be true or false")
    if style == "false":
        found["virtual_hosted_style_request"] = True
        if "endpoint" in found:  # object_store wants the bucket in it
            scheme, _, host = found["endpoint"].partition("://")
            found["endpoint"] = f"{scheme}://{bucket}.{host}"
    return found

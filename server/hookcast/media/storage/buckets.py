"""Opens buckets. obstore takes 15 MiB of memory: it is imported only where results are kept in one."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from hookcast.media.storage import surroundings
from hookcast.media.storage.objects import ObjectStorage

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_NAMES = {("gs", "endpoint"): "base_url", ("az", "endpoint"): "endpoint", ("az", "account"): "account_name"}
# Requests but large uploads, which are ours. A copy inside S3 answers when it is done.
_CLIENT: "ClientConfig" = {"allow_http": True, "connect_timeout": "10s", "timeout": "300s"}
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}


def open_bucket(
    scheme: str, bucket: str, prefix: str | None, options: dict[str, str], public_url: str | None
) -> ObjectStorage:
    """Return the storage of a bucket of S3 (`s3`), Google Cloud Storage (`gs`) or Azure (`az`). Raises ValueError."""
    surroundings.check(scheme, os.environ)
    try:
        return ObjectStorage(_store(scheme, bucket, prefix, options), public_url)
    except BaseError as error:  # an option is missing in the environment
        raise ValueError(str(error).partition("\n")[0].removeprefix("Generic ")) from None


def _store(scheme: str, bucket: str, prefix: str | None, options: dict[str, str]) -> S3Store | GCSStore | AzureStore:
    shared: dict[str, Any] = {"prefix": prefix, "client_options": _CLIENT, "retry_config": _RETRIES}
    if scheme == "s3":
        return S3Store(bucket, **shared, **_s3_options(bucket, options))
    shared |= {_NAMES[scheme, name]: value for name, value in options.items()}
    return GCSStore(bucket, **shared) if scheme == "gs" else AzureStore(bucket, **shared)


def _s3_options(bucket: str, options: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: options[name] for name in ("endpoint", "region") if name in options}
    if options.get("path_style") == "false":
        found["virtual_hosted_style_request"] = True
        if "endpoint" in found:  # object_store wants the bucket in it
            scheme, _, host = found["endpoint"].partition("://")
            found["endpoint"] = f"{scheme}://{bucket}.{host}"
    return found

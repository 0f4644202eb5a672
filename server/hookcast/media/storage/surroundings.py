"""Variables of the environment that a cloud's client reads: object_store panics over some wrong ones."""

import re
from collections.abc import Mapping

from hookcast.urls import check_forward_url

# Those that hold an address or a word in one; others are strings of any kind.
_ADDRESSES = {
    "s3": (
        *("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_METADATA_ENDPOINT"),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": ("GOOGLE_BASE_URL",),
    "az": (
        *("AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_AUTHORITY_HOST", "AZURE_STORAGE_AUTHORITY_HOST"),
        *("AZURE_MSI_ENDPOINT", "AZURE_IDENTITY_ENDPOINT", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"),
    ),
}
_WORDS = {
    "s3": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gs": (),
    "az": ("AZURE_TENANT_ID", "AZURE_STORAGE_TENANT_ID", "AZURE_STORAGE_AUTHORITY_ID", "AZURE_AUTHORITY_ID"),
}
_PREFIXES = {  # not all of Google's: a key is JSON, in lines
    "s3": ("AWS_",),
    "gs": ("GOOGLE_APPLICATION_",),
    "az": ("AZURE_", "IDENTITY_", "MSI_"),
}
_WORD = re.compile(r"[A-Za-z0-9._-]+")


def check(scheme: str, environment: Mapping[str, str]) -> None:
    """Raise ValueError for a variable with which the client of this kind of bucket would panic. Quotes no value."""
    for name, value in environment.items():
        if name.startswith(_PREFIXES[scheme]) and not value.isprintable():
            raise ValueError(f"needs {name} without control characters, such as the end of a line")
        if name in _ADDRESSES[scheme] and value:
            try:
                check_forward_url(value)
            except ValueError:
                raise ValueError(f"needs {name} to be an http:// or https:// URL") from None
        if name in _WORDS[scheme] and value and not is_word(value):
            raise ValueError(f"needs {name} to have letters, digits, '-', '_' and '.' only")


def is_word(value: str) -> bool:
    """Return whether a name can be part of an address as it is."""
    return _WORD.fullmatch(value) is not None

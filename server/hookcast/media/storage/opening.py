"""The storage that a URL names."""

import re
from os.path import normpath
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from hookcast.media.storage.base import Storage
from hookcast.media.storage.local import LocalStorage
from hookcast.media.storage.surroundings import is_word
from hookcast.urls import check_endpoint

_NAME = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*")
_OPTIONS = {
    "s3": frozenset({"endpoint", "region", "path_style"}),
    "gs": frozenset({"endpoint"}),
    "az": frozenset({"endpoint", "account"}),
}


class Bucket(NamedTuple):
    """The parts of a bucket's URL."""

    scheme: str
    name: str
    prefix: str | None
    options: dict[str, str]


def parse(url: str) -> Path | Bucket:
    """Return what `HOOKCAST_MEDIA_URL` names. Raise ValueError, which says what it must be."""
    parts = urlsplit(url)
    if not unquote(url).isprintable():  # `urlsplit` drops tabs and the ends of lines
        raise ValueError("must not contain invisible or control characters")
    if parts.scheme == "file":
        return _directory(parts)
    if parts.scheme not in _OPTIONS:
        raise ValueError("must be file:///directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    if not parts.netloc or set("@:") & set(parts.netloc) or parts.fragment:
        raise ValueError(f"must be {parts.scheme}://bucket/prefix, without user, port and fragment")
    if not _NAME.fullmatch(parts.netloc):
        raise ValueError(
            f"must be {parts.scheme}://bucket/prefix: a bucket's name has letters, digits, '-', '_' and '.'"
        )
    return Bucket(parts.scheme, parts.netloc, unquote(parts.path).strip("/") or None, _options(parts))


def open_storage(url: str, public_url: str | None, served_at: str = "/media") -> Storage:
    """Return the storage of `HOOKCAST_MEDIA_URL`. Raise ValueError as `parse` does.

    `public_url` is what links begin with; without it, those of a directory begin with `served_at` and those of a
    bucket are presigned. Nothing is connected to yet. Credentials come from the usual variables of the environment.
    """
    found = parse(url)
    if isinstance(found, Path):
        return LocalStorage(found, public_url or served_at)
    from hookcast.media.storage.buckets import open_bucket  # noqa: PLC0415 - obstore is large

    return open_bucket(*found, public_url)


def _directory(parts: SplitResult) -> Path:
    path = unquote(parts.path)
    absolute = path.startswith("/") and path.isprintable() and Path(normpath(path)) != Path("/")
    if parts.netloc not in {"", "localhost"} or not absolute or parts.query or parts.fragment:
        raise ValueError("must be file:///directory with three slashes and an absolute path")
    return Path(path)


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - _OPTIONS[parts.scheme]):
        known = ", ".join(sorted(_OPTIONS[parts.scheme]))
        raise ValueError(f"has the unknown option {unknown[0]!r}; {parts.scheme}:// takes {known}")
    if options.get("path_style", "true") not in {"true", "false"}:
        raise ValueError("has the option path_style, which must be true or false")
    if not is_word(options.get("region", "auto")):
        raise ValueError("has the option region, which must have letters, digits, '-', '_' and '.' only")
    if "endpoint" in options:
        try:
            check_endpoint(options["endpoint"])
            if options.get("path_style") == "false":  # the bucket's name comes before the host
                check_endpoint(options["endpoint"].replace("://", f"://{parts.netloc}.", 1))
        except ValueError:
            wrong = "has the option endpoint, which must be an https:// or http:// URL without user and query"
            raise ValueError(wrong) from None
        if not options["endpoint"].isascii():
            raise ValueError("has the option endpoint, whose host must be written in ASCII: xn--…")
    return options

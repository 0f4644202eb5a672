"""The files of a result that a model input requests under `_emulator.files`, and what can be wrong with them; pure.

`{"_emulator": {"files": [{"bytes": 500000000, "fault": "cut", "times": 1}, {"content_type": "image/png"}]}}`
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hookcast.emulator.content import KINDS, usual_size

MAX_FILES = 1000
MAX_DATA_BYTES = 20_000_000  # of all data URIs of a result: a webhook may have 32 MiB

Bytes = Annotated[int, Meta(ge=0, le=2**40)]
Rate = Annotated[int, Meta(ge=1)]
Times = Annotated[int, Meta(ge=1)]
Url = Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$", max_length=2000)]  # it becomes a header
Seconds = Annotated[float, Meta(ge=0, le=3600)]


class FileFault(StrEnum):
    """A simulated failure of the host of a file."""

    CUT = "cut"
    STALL = "stall"
    REDIRECT = "redirect"
    REDIRECT_LOOP = "redirect_loop"
    EXPIRES = "expires"
    UNAVAILABLE = "unavailable"
    WRONG_TYPE = "wrong_type"
    WEB_PAGE = "web_page"
    DISGUISED_PAGE = "disguised_page"
    NO_LENGTH = "no_length"
    LENGTH_TOO_LONG = "length_too_long"
    LENGTH_TOO_SHORT = "length_too_short"


STOPS = frozenset({FileFault.CUT, FileFault.STALL})


class FileWish(Struct, frozen=True, forbid_unknown_fields=True):
    """A requested file. None: `content_type` as the endpoint makes, `size` of the sample, `times` always, `at` half.

    `url` replaces the file's own URL, or with the fault `redirect` the URL to which it redirects.
    """

    content_type: str | None = None
    size: Bytes | None = msgspec.field(default=None, name="bytes")
    bytes_per_second: Rate | None = None
    data_uri: bool = False
    url: Url | None = None
    fault: str | None = None
    times: Times | None = None
    at: Bytes | None = None
    seconds: Seconds | None = None

    def type_or(self, usual: str) -> str:
        """Return the content type, `usual` if none is requested."""
        return self.content_type or usual

    def size_as(self, content_type: str) -> int:
        """Return the size in bytes of a file of this type."""
        return usual_size(content_type) if self.size is None else self.size


class WrongFile(ValueError):
    """An option of a file, at `place` in the list, that does not exist or does not fit the others."""

    def __init__(self, message: str, place: int, option: str) -> None:
        super().__init__(message)
        self.loc: list[str | int] = ["files", place, option]


def check_files(files: Sequence[FileWish]) -> None:
    """Check what a schema cannot. Raises WrongFile."""
    for place, wish in enumerate(files):
        _check_names(place, wish)
        _check_combination(place, wish)
    data = [place for place, wish in enumerate(files) if wish.data_uri]
    if sum(files[place].size_as(files[place].content_type or "") for place in data) > MAX_DATA_BYTES:
        raise WrongFile(f"All data URIs together may have {MAX_DATA_BYTES} bytes.", data[-1], "bytes")


def _check_names(place: int, wish: FileWish) -> None:
    if wish.content_type is not None and wish.content_type not in KINDS:
        message = f"There is no content type {wish.content_type!r}. The content types are: {', '.join(KINDS)}."
        raise WrongFile(message, place, "content_type")
    if wish.fault is not None and wish.fault not in set(FileFault):
        message = f"There is no fault {wish.fault!r} of a file. The faults are: {', '.join(FileFault)}."
        raise WrongFile(message, place, "fault")


def _check_combination(place: int, wish: FileWish) -> None:
    plain = wish.fault is None and wish.bytes_per_second is None
    for option, fits, needs in (
        ("data_uri", plain and wish.url is None, "a file without 'fault', 'bytes_per_second' and 'url'"),
        ("url", plain or wish.fault == FileFault.REDIRECT, "a file without other faults than 'redirect'"),
        ("times", wish.fault is not None, "a 'fault'"),
        ("at", wish.fault in STOPS, "the fault 'cut' or 'stall'"),
        ("seconds", wish.fault == FileFault.EXPIRES, "the fault 'expires'"),
    ):
        given = getattr(wish, option)
        if given is not None and given is not False and not fits:
            raise WrongFile(f"The option {option!r} needs {needs}.", place, option)

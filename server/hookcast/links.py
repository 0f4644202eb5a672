"""Links to kept files in a job's result: put where fal's stood, every other byte as fal sent it; pure."""

from collections.abc import Callable, Iterable

from msgspec import Raw, json
from msgspec.structs import replace

from hookcast.jobs import MediaFile

Link = Callable[[str], str]
"""Returns the address of a file in the storage from its key."""

DATA = "data:"
_NO_TEXT = b'""'


def linked(result: Raw | None, media: Iterable[MediaFile], link: Link | None) -> Raw | None:
    """Return the result with our links to the files that are kept; as fal sent it without a `link`."""
    if result is None or link is None:
        return result
    links = [(start, end, json.encode(link(file.key))) for file in media if file.key for start, end in file.spots]
    return Raw(_spliced(bytes(result), links)) if links else result


def without_data(result: Raw, media: tuple[MediaFile, ...]) -> tuple[Raw, tuple[MediaFile, ...]]:
    """Return the result without the kept `data:` URIs, which may be megabytes, and the files with their new spots."""
    cuts = sorted(spot for file in media if file.key and file.source.startswith(DATA) for spot in file.spots)
    if not cuts:
        return result, media
    shorter = _spliced(bytes(result), [(start, end, _NO_TEXT) for start, end in cuts])
    return Raw(shorter), tuple(replace(file, spots=tuple(_moved(cuts, spot) for spot in file.spots)) for file in media)


def _spliced(text: bytes, parts: list[tuple[int, int, bytes]]) -> bytes:
    pieces, done = [], 0
    for start, end, part in sorted(parts):
        pieces += [text[done:start], part]
        done = end
    return b"".join([*pieces, text[done:]])


def _moved(cuts: list[tuple[int, int]], spot: tuple[int, int]) -> tuple[int, int]:
    start = spot[0] - sum(end - begin - len(_NO_TEXT) for begin, end in cuts if begin < spot[0])
    return start, start + (len(_NO_TEXT) if spot in cuts else spot[1] - spot[0])

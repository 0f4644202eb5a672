"""Links to kept files in a job's result: put where fal's stood, every other byte as fal sent it; pure."""

from collections.abc import Callable, Iterable

from msgspec import Raw
from msgspec.structs import replace

from hookcast.jobs import MediaFile
from hookcast.splicing import Spot, spliced

Link = Callable[[str], str | None]
"""Returns the address of a file in the storage from its key; None when there is none at the moment."""

DATA = "data:"


def linked(result: Raw | None, media: Iterable[MediaFile], link: Link | None) -> Raw | None:
    """Return the result with our links to the files that are kept; as fal sent it without a `link`."""
    if result is None or link is None:
        return result
    found = [(file.spots, address) for file in media if file.key and (address := link(file.key)) is not None]
    links = [(spot, address) for spots, address in found for spot in spots]
    return Raw(spliced(bytes(result), links)) if links else result


def without_data(result: Raw, media: tuple[MediaFile, ...]) -> tuple[Raw, tuple[MediaFile, ...]]:
    """Return the result with empty text for the kept `data:` URIs, which may be megabytes, and the spots after that."""
    cuts = sorted(spot for file in media if file.key and file.source.startswith(DATA) for spot in file.spots)
    if not cuts:
        return result, media
    moved = tuple(replace(file, spots=tuple(_moved(cuts, spot) for spot in file.spots)) for file in media)
    return Raw(spliced(bytes(result), [(spot, "") for spot in cuts])), moved


def _moved(cuts: list[Spot], spot: Spot) -> Spot:
    start = spot.start - sum(cut.end - cut.start - len('""') for cut in cuts if cut.start < spot.start)
    return Spot(start, start + (len('""') if spot in cuts else spot.end - spot.start))

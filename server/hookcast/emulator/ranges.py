"""The `Range` header of a request (RFC 9110 section 14); pure."""

import re

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII | re.IGNORECASE)


def part(header: str | None, size: int) -> range | None:
    """Return the bytes that are asked for: all for a header that is absent, malformed or asks for several ranges.

    None if the file, of `size` bytes, has none of them.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[0] == "bytes=-":
        return range(size)
    first, last = found.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return range(size)
    return range(start, stop) if start < stop else None

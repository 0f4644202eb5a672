"""Labels: the names of owners and groups."""

import re
from typing import Annotated

from msgspec import Meta

MAX_LENGTH = 200
# No control characters, which PostgreSQL and logs cannot hold.
_PATTERN = r"^[^\x00-\x1f\x7f]+(?!\n)$"

Label = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, pattern=_PATTERN)]


def is_label(text: str) -> bool:
    """Return whether `text` is a valid `Label`."""
    return len(text) <= MAX_LENGTH and re.fullmatch(_PATTERN, text) is not None

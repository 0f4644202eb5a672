"""Numbers that clients send: in ASCII digits, and of bounded length, since `int` raises beyond 4,300 digits."""

import re

from starlette.requests import Request

from hookcast.errors import InvalidRequest

_DIGITS = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")


def digits(text: str) -> int | None:
    """Return a whole number of up to 18 digits, or None if `text` is something else."""
    return int(text) if _DIGITS.fullmatch(text) else None


def number(request: Request, name: str, low: float, high: float) -> float | None:
    """Return a query parameter between two bounds, or None if it is absent. Raises InvalidRequest."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _DECIMAL.fullmatch(text) or not low <= float(text) <= high:
        raise InvalidRequest(f"{name} must be a number from {low:g} to {high:g}.")
    return float(text)


def whole_number(request: Request, name: str, low: int, high: int) -> int | None:
    """Return a query parameter as `number` does, but as an integer. Raises InvalidRequest."""
    text = request.query_params.get(name)
    if text is None:
        return None
    value = digits(text)
    if value is None or not low <= value <= high:
        raise InvalidRequest(f"{name} must be a whole number from {low} to {high}.")
    return value

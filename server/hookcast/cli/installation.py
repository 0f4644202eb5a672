"""Whether Hookcast can serve with the uvicorn and the websockets that are installed. This module imports neither.

Their bounds are those that Hookcast declares in pyproject.toml, read from what was installed with it.
"""

import asyncio
import operator
import re
from collections.abc import Iterable
from importlib import metadata

from hookcast import __version__
from hookcast.errors import SettingsError

REACHED_INTO = ("uvicorn", "websockets")  # whose inside Hookcast relies on
_REQUIREMENT = re.compile(r"([\w.-]+)[^<>=!~;]*([^;)]*)")
_BOUND = re.compile(r"([<>=!~]+)\s*([\w.]+)")
_OPERATORS = {">=": operator.ge, "<": operator.lt, "!=": operator.ne}


def check() -> None:
    """Refuse to start on versions that Hookcast cannot serve with. Raises SettingsError, which says what to do."""
    problem = asyncio.run(find_problem())
    if problem is not None:
        raise SettingsError(problem)


async def find_problem() -> str | None:
    """What is wrong, and what to do, in one line; None when Hookcast can serve. Takes a few milliseconds."""
    needed = requirements()
    wrong = [name for name in REACHED_INTO if not within(_installed(name), needed[name])]
    if wrong:
        told = " and ".join(f"{name}{needed[name]} (installed: {_installed(name) or 'none'})" for name in wrong)
        return f"Hookcast {__version__} needs {told}. {_cure('pip install', wrong)}"
    try:
        from hookcast.serving import selftest  # noqa: PLC0415 - it imports what was looked at above

        await selftest.run()
    except Exception as error:  # noqa: BLE001 - a changed inside may lead to any
        told = " and ".join(f"{name} {_installed(name)}" for name in REACHED_INTO)
        reason = " ".join(f"{type(error).__name__}: {error}".removeprefix("Changed: ").split())
        cure = _cure("pip install --force-reinstall", REACHED_INTO)
        return f"Hookcast {__version__} cannot serve with {told} as they are installed here: {reason}. {cure}"
    return None


def requirements() -> dict[str, str]:
    """The bounds that Hookcast declares, such as `>=1.0,<2`, by the names of packages."""
    found = map(_REQUIREMENT.match, metadata.requires("hookcast") or ())
    return {match[1]: match[2].strip() for match in found if match}


def within(version: str | None, bounds: str) -> bool:
    """Whether a version is there and allowed. A pre-release counts as its release: `<2` excludes 2.0rc1."""
    return version is not None and all(
        _OPERATORS[sign](_numbers(version), _numbers(bound)) for sign, bound in _BOUND.findall(bounds)
    )


def _cure(command: str, names: Iterable[str]) -> str:
    needed = requirements()
    wanted = " ".join(f"'{name}{needed[name]}'" for name in names)
    return f"Reinstall Hookcast, or: {command} {wanted}"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

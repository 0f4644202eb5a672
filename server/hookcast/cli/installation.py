"""Check that Hookcast can serve with the installed uvicorn and websockets. This module imports neither.

The version bounds are those of pyproject.toml, read from Hookcast's installed metadata.
"""

import asyncio
import operator
import re
from collections.abc import Iterable
from importlib import metadata

from hookcast import __version__
from hookcast.errors import SettingsError

REACHED_INTO = ("uvicorn", "websockets")  # Hookcast relies on their internals
_REQUIREMENT = re.compile(r"([\w.-]+)[^<>=!~;]*([^;)]*)")
_BOUND = re.compile(r"([<>=!~]+)\s*([\w.]+)")
_OPERATORS = {">=": operator.ge, "<": operator.lt, "!=": operator.ne}


def check() -> None:
    """Check the installed versions before serving. Raises SettingsError that names the problem and the fix."""
    problem = asyncio.run(find_problem())
    if problem is not None:
        raise SettingsError(problem)


async def find_problem() -> str | None:
    """Return the problem and its fix in one line, or None when Hookcast can serve. Takes a few milliseconds."""
    needed = requirements()
    wrong = [name for name in REACHED_INTO if not within(_installed(name), needed[name])]
    if wrong:
        told = " and ".join(f"{name}{needed[name]} (installed: {_installed(name) or 'none'})" for name in wrong)
        return f"Hookcast {__version__} needs {told}. {_cure('pip install', wrong)}"
    try:
        from hookcast.serving import selftest  # noqa: PLC0415 - it imports the packages checked above

        await selftest.run()
    except Exception as error:  # noqa: BLE001 - changed internals may raise anything
        told = " and ".join(f"{name} {_installed(name)}" for name in REACHED_INTO)
        reason = " ".join(f"{type(error).__name__}: {error}".removeprefix("Changed: ").split())
        cure = _cure("pip install --force-reinstall", REACHED_INTO)
        return f"Hookcast {__version__} cannot serve with {told} as they are installed here: {reason}. {cure}"
    return None


def requirements() -> dict[str, str]:
    """Return the version bounds that Hookcast declares, such as `>=1.0,<2`, by package name."""
    found = map(_REQUIREMENT.match, metadata.requires("hookcast") or ())
    return {match[1]: match[2].strip() for match in found if match}


def within(version: str | None, bounds: str) -> bool:
    """Return whether a version is set and in bounds. A pre-release counts as its release: `<2` excludes 2.0rc1."""
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

"""The base of all errors, and those that end a command or the process."""

from typing import Any, ClassVar


class HookcastError(Exception):
    """The base class. `str(error)` is one sentence for people; `code` is stable and for programs."""

    status: int = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Something went wrong in Hookcast"

    def extensions(self) -> dict[str, Any]:
        """Return the extension members of this problem (RFC 9457 section 3.2)."""
        return {}


class NodeFailed(HookcastError):
    """A part of the node that it cannot work without has failed; the process ends."""


class UsageError(HookcastError):
    """A command was given invalid input."""


class SettingsError(HookcastError):
    """Invalid settings, all named in one message."""

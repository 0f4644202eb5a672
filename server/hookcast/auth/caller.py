"""Who asks, what they may do and which jobs they see; pure.

Every route and every stream asks here, and nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum

from hookcast.errors import Forbidden

MAX_GATHERED = 1000  # names that the tokens of one connection may add up to


class Action(StrEnum):
    """What needs an API key. Seeing does not: `Caller.sees` says which jobs a caller sees."""

    SUBMIT = "submit jobs"
    REGISTER = "register jobs"
    CANCEL = "cancel jobs"
    MINT = "mint tokens"
    MEASURE = "read metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One who was let in. `full` = with an API key, or the server is open; the rest is what a token says.

    `expires_at` is in unix seconds, None = never. `name` tells callers apart in limits; it is no secret.
    """

    full: bool = False
    sub: str | None = None
    jobs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    expires_at: float | None = None
    name: str = ""

    def sees(self, request_id: str, owner: str | None, group: str | None) -> bool:
        """Whether this job may be shown: named by the token, of a group that is, or the caller's own."""
        if self.full or request_id in self.jobs:
            return True
        return (group is not None and group in self.groups) or (owner is not None and owner == self.sub)

    def check(self, action: Action) -> None:
        """Raise Forbidden unless the caller may do this. Tokens are made for browsers: they only show."""
        if not self.full:
            raise Forbidden(f"Only an API key may {action}; a token shows jobs and no more.")

    def knows_job(self, request_id: str) -> bool:
        """Whether the job may be shown whatever is known about it, even before it exists."""
        return self.full or request_id in self.jobs

    def knows_group(self, group: str) -> bool:
        """Whether all jobs of the group may be shown."""
        return self.full or group in self.groups

    def renewed(self, by: "Caller") -> "Caller":
        """What a connection may see when it brings another token.

        The same or more: the new token counts. Something else of the same person: both count, until the first of them
        expires. Another person: the new token only.
        """
        if by.full or self == NOBODY or self._covered(by):
            return by
        stranger = None not in {self.sub, by.sub} and self.sub != by.sub
        both = self._with(by)
        return by if stranger or len(both.jobs) + len(both.groups) > MAX_GATHERED else both

    def _covered(self, by: "Caller") -> bool:
        return not self.full and self.jobs <= by.jobs and self.groups <= by.groups and self.sub in {None, by.sub}

    def _with(self, by: "Caller") -> "Caller":
        times = [moment for moment in (self.expires_at, by.expires_at) if moment is not None]
        return Caller(
            full=self.full,
            sub=by.sub if by.sub is not None else self.sub,
            jobs=self.jobs | by.jobs,
            groups=self.groups | by.groups,
            expires_at=min(times, default=None),
            name=by.name,
        )


EVERYBODY = Caller(full=True)
"""Any caller of an open server."""

NOBODY = Caller()
"""A connection that has not said yet who it is."""

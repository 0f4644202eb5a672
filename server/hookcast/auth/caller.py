"""The caller: its permissions and the jobs it sees; pure.

Every route and every stream checks access here, and nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum

from hookcast.errors import Forbidden

MAX_GATHERED = 1000  # jobs and groups that the tokens of one connection may name in total


class Action(StrEnum):
    """Actions that need an API key, or for some (`OWN`) the token of the job's owner.

    Seeing jobs needs neither: `Caller.sees` decides which jobs a caller sees.
    """

    SUBMIT = "submit jobs"
    REGISTER = "register jobs"
    CANCEL = "cancel jobs"
    RETRY = "retry jobs"
    REMOVE = "remove jobs"
    REDELIVER = "have the backend told again"
    MINT = "mint tokens"
    MEASURE = "read metrics"
    INSPECT = "read journals"
    REFRESH = "have fal asked about jobs"


OWN = frozenset({Action.CANCEL, Action.RETRY})
"""What a job's owner may do to it: a caller whose token's `sub` is the job's `owner`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An admitted client. `full` = it has an API key, or the server is open; the rest comes from its token.

    `expires_at` is in unix seconds, None = never. `name` tells callers apart in limits; it is not secret.
    """

    full: bool = False
    sub: str | None = None
    jobs: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    expires_at: float | None = None
    name: str = ""

    def sees(self, request_id: str, owner: str | None, group: str | None) -> bool:
        """Return whether the caller may see this job: its token names the job or its group, or the caller owns it."""
        if self.full or request_id in self.jobs:
            return True
        return (group is not None and group in self.groups) or (owner is not None and owner == self.sub)

    @property
    def who(self) -> str:
        """The caller in a journal, and as the holder of idempotency keys: the same for all tokens of an owner."""
        return self.name if self.full or self.sub is None else f"owner:{self.sub}"

    def check(self, action: Action) -> None:
        """Raise Forbidden unless the caller may do this to any job."""
        if not self.full:
            raise Forbidden(f"Only an API key may {action}.")

    def check_own(self, action: Action, owner: str | None) -> None:
        """Raise Forbidden unless the caller may do this to a job of `owner`: with an API key, or as its owner."""
        if action not in OWN:
            self.check(action)
        elif not self.full and (owner is None or owner != self.sub):
            raise Forbidden(f"Only an API key, or a token whose sub is the job's owner, may {action}.")

    def knows_job(self, request_id: str) -> bool:
        """Return whether the caller may see the job regardless of its owner and group, even before it exists."""
        return self.full or request_id in self.jobs

    def knows_group(self, group: str) -> bool:
        """Return whether the caller may see all jobs of the group."""
        return self.full or group in self.groups

    def knows_owner(self, owner: str) -> bool:
        """Return whether the caller may see all jobs of the owner."""
        return self.full or owner == self.sub

    def renewed(self, by: "Caller") -> "Caller":
        """Return the caller of a connection that presents another token.

        When the new token shows the same or more, it replaces the old one. When it shows something else to the same
        `sub`, both apply until the first of them expires. For another `sub`, or beyond `MAX_GATHERED` names, only the
        new token applies.
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
"""A connection that has not authenticated yet."""

"""Links to kept files. One that expires is made again in time, so that each read of a job gets a good one."""

from collections import OrderedDict
from collections.abc import Callable

from hookcast.logs import get_logger
from hookcast.media.failures import StorageFailed
from hookcast.media.storage import Storage

MAX_LINKS = 10_000
# A link that a session has signed ends with it. obstore renews a role's credentials five minutes before their end, so a
# link that is handed out for this long works for minutes more. Links of Google and Azure end when they say.
SESSION_SECONDS = 60.0
_SESSION = "X-Amz-Security-Token="
_log = get_logger(__name__)


class Links:
    """Links by key: `seconds` is their life where they end, `clock` counts seconds."""

    def __init__(self, storage: Storage, seconds: int, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._seconds = seconds
        self._clock = clock
        self._made: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __call__(self, key: str) -> str | None:
        """Return a link valid for at least half of `seconds`, or until the session that signed it ends.

        It stays the same for a while: it is part of states.
        None when the storage cannot sign now: a state without this link is better than no state.
        """
        now = self._clock()
        link, until = self._made.pop(key, ("", 0.0))
        if until <= now:
            try:
                [link] = self._storage.links([key], self._seconds)
            except StorageFailed as error:  # credentials that cannot be renewed, for example
                _log.warning("file_not_linked", reason=str(error))
                return None
            until = now + self._lasting(link)
        self._made[key] = link, until
        if len(self._made) > MAX_LINKS:
            self._made.popitem(last=False)
        return link

    def _lasting(self, link: str) -> float:
        """Return for how many seconds the link is handed out."""
        return min(self._seconds / 2, SESSION_SECONDS) if _SESSION in link else self._seconds / 2

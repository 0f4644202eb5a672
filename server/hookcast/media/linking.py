"""Links to kept files. One that expires is made again in time, so that each read of a job gets a good one.

With an access key, a signature takes microseconds. With a role it may take a request, which may hang: a thread of its
own signs, and the event loop waits for it a moment only.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from hookcast.logs import get_logger
from hookcast.media.storage import Storage

MAX_LINKS = 10_000
MAX_OWED = 200  # links that wait for the thread
PATIENCE_SECONDS = 0.05  # of the event loop
REST_SECONDS = 5.0  # after a failure
# A link that a session has signed ends with it. obstore renews a role's credentials five minutes before their end, so a
# link that is handed out for this long works for minutes more. Links of Google and Azure end when they say.
SESSION_SECONDS = 60.0
_SESSION = "X-Amz-Security-Token="
# In the links of all signers that may need a request: a role of AWS, Google (with a key as well), a role of Azure.
_REQUESTS = (_SESSION, "X-Goog-Signature=", "skoid=")
_ANY_KEY = "any/key"
_log = get_logger(__name__)


def may_need_a_request(link: str) -> bool:
    """Return whether the credentials that signed a link are of a kind that may have to be renewed to sign another."""
    return any(part in link for part in _REQUESTS)


class _Made(NamedTuple):
    link: str
    until: float  # it is handed out


class _Signer:
    """Makes links. `at_once` is True once a link shows that no request is ever needed: credentials stay of one kind."""

    def __init__(self, storage: Storage, seconds: int, clock: Callable[[], float]) -> None:
        self.at_once = False
        self._storage = storage
        self._seconds = seconds
        self._clock = clock
        self._rests_until = float("-inf")

    def sign(self, key: str) -> _Made | None:
        """Return a new link; None when the storage cannot sign now, and for REST_SECONDS after that."""
        now = self._clock()
        if now < self._rests_until:
            return None
        try:
            [link] = self._storage.links([key], self._seconds)
        except Exception as error:  # noqa: BLE001 - credentials that cannot be renewed; no fault may end the thread
            self._rests_until = self._clock() + REST_SECONDS
            _log.warning("file_not_linked", reason=str(error))
            return None
        self.at_once = not may_need_a_request(link)
        half = self._seconds / 2
        return _Made(link, now + (min(half, SESSION_SECONDS) if _SESSION in link else half))


class Links:
    """Links by key, for one thread: `seconds` is their life where they end, `clock` counts seconds."""

    def __init__(self, storage: Storage, seconds: int, clock: Callable[[], float]) -> None:
        self._signer = _Signer(storage, seconds, clock)
        self._clock = clock
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._wanted: SimpleQueue[str | None] = SimpleQueue()
        self._came: SimpleQueue[tuple[str, _Made | None]] = SimpleQueue()
        self._owed: set[str] = set()  # keys that the thread has not answered
        self._late = False  # it was waited for, in vain

    def __call__(self, key: str) -> str | None:
        """Return a link valid for at least half of `seconds`, or until the session that signed it ends.

        It stays the same for a while: it is part of states. None when the storage cannot sign now, or not in
        PATIENCE_SECONDS: a state without this link is better than no state. The next read may have it.
        """
        made = self._good(key)
        if made is None and self._signer.at_once:
            self._keep(key, self._signer.sign(key))
        elif made is None:
            self._have_signed(key)
        made = made or self._good(key)
        return None if made is None else made.link

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Sign now and then, so that credentials are renewed before a reader waits for them.

        Returns when that is never needed; runs until cancelled otherwise.
        """
        try:
            while not self._signer.at_once:
                self._collect(0.0)
                self._want(_ANY_KEY)
                await sleep(SESSION_SECONDS)
        finally:
            if self._thread is not None:
                self._wanted.put(None)
                self._thread = None

    def _good(self, key: str) -> _Made | None:
        made = self._made.get(key)
        if made is None or made.until <= self._clock():
            return None
        self._made.move_to_end(key)
        return made

    def _keep(self, key: str, made: _Made | None) -> None:
        if made is not None:
            self._made[key] = made
            self._made.move_to_end(key)
            if len(self._made) > MAX_LINKS:
                self._made.popitem(last=False)

    def _have_signed(self, key: str) -> None:
        """Have the thread make a link, and wait for it; not while it owes others that were waited for."""
        if self._collect(0.0):
            self._late = False
        if self._good(key) is not None:
            return
        self._want(key)
        if not self._late and not self._collect(PATIENCE_SECONDS):
            self._late = True
            _log.warning("file_not_linked", reason="The storage takes long to sign a link.")

    def _want(self, key: str) -> None:
        if key in self._owed or len(self._owed) >= MAX_OWED:
            return
        if self._thread is None:  # a daemon: a request that hangs must not hold the end of the process
            self._thread = threading.Thread(target=self._work, name="links", daemon=True)
            self._thread.start()
        self._owed.add(key)
        self._wanted.put(key)

    def _work(self) -> None:
        while (key := self._wanted.get()) is not None:
            self._came.put((key, self._signer.sign(key)))

    def _collect(self, seconds: float) -> bool:
        """Keep the links that come, each within `seconds` of the last; return whether all have come."""
        with suppress(Empty):
            while self._owed:
                key, made = self._came.get(timeout=seconds)
                self._owed.discard(key)
                self._keep(key, made)
        return not self._owed

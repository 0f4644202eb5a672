"""A keeper whose copies do what a test says."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Raw

from hookcast.bus import LocalBus
from hookcast.consequences import Kind
from hookcast.dispatcher import Dispatcher
from hookcast.jobs import Completed, Job
from hookcast.keeping import Keeping
from hookcast.media.copying import Copied, Copier, Place
from hookcast.media.fetching import Fetcher
from hookcast.media.linking import Links
from hookcast.media.parts import Media
from hookcast.media.stopping import Stop
from hookcast.media.storage import Storage, folder_of, key_of
from hookcast.media.storage.local import LocalStorage
from hookcast.media.turns import Turns
from hookcast.store import JobStore, Piece
from hookcast.upkeep.keeper import Keeper
from support.fakes import Outage

RESULT = Raw(b'{"images":[{"url":"https://fal.media/0.png"},{"url":"https://fal.media/1.png"}]}')
Script = Callable[[str], bytes]


class ScriptedCopier(Copier):
    """Copies what `script` returns for a URL, or fails as it does."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(Fetcher(allow_local=False, max_bytes=1), storage)
        self.storage = storage
        self.script: Script = lambda url: url.encode()
        self.asked: list[str] = []

    def copy_url(self, url: str, place: Place, *, stop: Stop, **_: object) -> Copied:
        """Copy a file, whole or not at all."""
        self.asked.append(url)
        content = self.script(url)
        stop.check()
        draft = self.storage.begin(folder_of(place.request_id), len(content), "image/png", stop)
        draft.write(memoryview(content))
        key = key_of(*place, content.hex().ljust(64, "0"), "png")
        draft.commit(key)
        return Copied(key, "image/png", len(content), content.hex())


class Uncounted:
    """Counts nothing."""

    def copied(self, count: int, seconds: float) -> None:
        """See Tally."""

    def not_copied(self, reason: str) -> None:
        """See Tally."""


class World:
    """A node's keeper, and another one's that begins with the same job."""

    def __init__(self, store: JobStore, folder: Path) -> None:
        self.store = store
        self.outage = Outage(store)
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.storage = LocalStorage(folder, "/media")
        self.copier, self.keeper, self.dispatcher = self.node()

    def node(self) -> tuple[ScriptedCopier, Keeper, Dispatcher]:
        """A node."""
        copier = ScriptedCopier(self.storage)
        media = Media(self.storage, copier, Turns(4), Links(self.storage, 60, lambda: 0.0))
        dispatcher = Dispatcher(self.outage.store, LocalBus(lambda _: None), self.clock, keeping=Keeping())
        return copier, Keeper(self.outage.store, dispatcher, media, self.clock, Uncounted()), dispatcher

    def clock(self) -> datetime:
        """The time."""
        return self.now

    async def finished(self) -> Piece:
        """Claim the work of a job whose result has come."""
        await self.dispatcher.apply("job-1", Completed(result=RESULT), "webhook")
        return await self.piece(Kind.KEEP)

    async def piece(self, kind: Kind, *, overdue: float = -120.0) -> Piece:
        """Claim the one piece of a kind, due or not."""
        [piece] = await self.store.work.claim(kind, 10, "one", 3600.0, overdue=overdue)
        return piece

    async def job(self) -> Job:
        """The job."""
        found = await self.store.whole("job-1")
        assert found is not None
        return found

    @property
    def files(self) -> list[str]:
        """What is in the job's folder."""
        return sorted(stored.key for stored in self.storage.files("job-1"))

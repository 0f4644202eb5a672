"""Links that may expire, and storages that sign slowly or not at all."""

import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from hookcast.media import linking
from hookcast.media.failures import StorageFailed
from hookcast.media.linking import MAX_OWED, REST_SECONDS, SESSION_SECONDS, Links
from hookcast.media.storage.local import LocalStorage

SECONDS = 10
ROLES = ["X-Amz-Expires=86400&X-Amz-Security-Token=abc&X-Amz-Signature=", "X-Goog-Signature=", "skoid=abc&sig="]


class Signing(LocalStorage):
    """A storage that numbers its links, and may hang or fail to sign."""

    def __init__(self, query: str = "") -> None:
        self.made = 0
        self.asked = 0
        self.fails = False
        self.query = query
        self.threads: list[threading.Thread] = []
        self.answers = threading.Event()
        self.answers.set()

    def links(self, keys: list[str], seconds: int) -> list[str]:  # noqa: ARG002 - these links are numbered
        """See Storage."""
        self.asked += 1
        self.threads.append(threading.current_thread())
        assert self.answers.wait(SECONDS)
        if self.fails:
            raise StorageFailed("The credentials have expired.")
        self.made += 1
        return [f"https://bucket.example/{key}?{self.query}{self.made}" for key in keys]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a storage that signs, however busy this machine is."""
    monkeypatch.setattr(linking, "PATIENCE_SECONDS", 10.0 * SECONDS)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Signing]:
    """A storage with a role, whose credentials are not renewed before the event is set."""
    monkeypatch.setattr(linking, "PATIENCE_SECONDS", 0.01)
    storage = Signing(ROLES[0])
    storage.answers.clear()
    yield storage
    storage.answers.set()


def came(links: Links, key: str) -> str:
    """Read again until the link is there."""
    for _ in range(SECONDS * 100):
        if (link := links(key)) is not None:
            return link
        threading.Event().wait(0.01)
    raise AssertionError("the link did not come")


def test_a_link_stays_for_half_of_its_life() -> None:
    now = 0.0
    links = Links(Signing(), 100, lambda: now)
    first = links("a")
    now = 49.0
    assert links("a") == first
    now = 51.0
    assert links("a") != first


def test_a_link_that_ends_with_a_session_is_soon_made_again() -> None:
    """A session lasts for an hour, while the link says a day."""
    now = 0.0
    links = Links(Signing(ROLES[0]), 86_400, lambda: now)
    first = links("a")
    now = 59.0
    assert links("a") == first
    now = 61.0
    assert links("a") != first


def test_a_storage_that_cannot_sign_costs_the_link_and_no_more() -> None:
    now = 0.0
    storage = Signing()
    links = Links(storage, 100, lambda: now)
    storage.fails = True
    assert links("a") is None
    storage.fails = False
    now = REST_SECONDS
    assert links("a") is not None


@pytest.mark.parametrize("query", ["", *ROLES])
def test_a_storage_that_cannot_sign_is_left_alone_for_a_while(query: str) -> None:
    """Each attempt may be a request, and each failure a line of the log."""
    storage = Signing(query)
    links = Links(storage, 100, lambda: 0.0)
    assert links("a") is not None
    storage.fails = True
    with capture_logs() as logs:
        assert [links(key) for key in "bcd"] == [None] * 3
    assert storage.asked == 2
    assert [(line["event"], line["reason"]) for line in logs] == [("file_not_linked", "The credentials have expired.")]


def test_a_signature_that_hangs_is_waited_for_once(hanging: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other one while it hangs; then all that were asked for are there."""
    links = Links(hanging, 86_400, lambda: 0.0)
    with capture_logs() as logs:
        assert links("a") is None
        monkeypatch.setattr(linking, "PATIENCE_SECONDS", 10 * SECONDS)
        assert [links(key) for key in "abc"] == [None] * 3
    assert [line["event"] for line in logs] == ["file_not_linked"]
    assert hanging.asked == 1
    hanging.answers.set()
    assert came(links, "c").endswith("3")
    assert links("b") is not None
    assert links("d") is not None


def test_few_links_wait_for_a_signature_that_hangs(hanging: Signing) -> None:
    links = Links(hanging, 86_400, lambda: 0.0)
    assert {links(str(number)) for number in range(2 * MAX_OWED)} == {None}
    hanging.answers.set()
    came(links, str(MAX_OWED - 1))
    assert hanging.asked == MAX_OWED


@pytest.mark.parametrize("query", ROLES)
def test_what_may_need_a_request_is_signed_in_a_thread_of_its_own(query: str) -> None:
    storage = Signing(query)
    links = Links(storage, 86_400, lambda: 0.0)
    assert None not in [links(key) for key in "abc"]
    assert len(set(storage.threads)) == 1
    assert threading.current_thread() not in storage.threads


@pytest.mark.parametrize("query", ["", "X-Amz-Credential=abc&X-Amz-Signature=", "sv=2023-11-03&sig="])
def test_with_a_key_links_are_signed_at_once(query: str) -> None:
    """After the first one, which shows that there is a key."""
    storage = Signing(query)
    links = Links(storage, 86_400, lambda: 0.0)
    assert None not in [links(key) for key in "abc"]
    assert storage.threads[1:] == [threading.current_thread()] * 2


class Enough(Exception):
    """Ends the test."""


@pytest.mark.anyio
async def test_credentials_of_a_role_are_renewed_while_nobody_reads() -> None:
    storage, pauses = Signing(ROLES[0]), list[float]()
    links = Links(storage, 86_400, lambda: 0.0)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        assert links(str(len(pauses))) is not None
        if len(pauses) == 3:
            raise Enough

    with pytest.raises(Enough):
        await links.run(sleep)
    assert pauses == [SESSION_SECONDS] * 3
    storage.threads[0].join(SECONDS)
    assert not storage.threads[0].is_alive()
    assert storage.asked == 2 * 3


@pytest.mark.anyio
async def test_a_key_needs_no_renewal() -> None:
    storage = Signing()
    links = Links(storage, 86_400, lambda: 0.0)

    async def sleep(_seconds: float) -> None:
        assert links("a") is not None

    await links.run(sleep)
    assert storage.asked == 2

"""Links that may expire."""

from hookcast.media.failures import StorageFailed
from hookcast.media.linking import Links
from hookcast.media.storage.local import LocalStorage


class Signing(LocalStorage):
    """A storage that numbers its links, and may fail to sign."""

    def __init__(self) -> None:
        self.made = 0
        self.fails = False
        self.query = ""

    def links(self, keys: list[str], seconds: int) -> list[str]:  # noqa: ARG002 - these links are numbered
        """See Storage."""
        if self.fails:
            raise StorageFailed("The credentials have expired.")
        self.made += 1
        return [f"https://bucket.example/{key}?{self.query}{self.made}" for key in keys]


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
    storage = Signing()
    storage.query = "X-Amz-Expires=86400&X-Amz-Security-Token=abc&X-Amz-Signature="
    links = Links(storage, 86_400, lambda: now)
    first = links("a")
    now = 59.0
    assert links("a") == first
    now = 61.0
    assert links("a") != first


def test_a_storage_that_cannot_sign_costs_the_link_and_no_more() -> None:
    storage = Signing()
    links = Links(storage, 100, lambda: 0.0)
    storage.fails = True
    assert links("a") is None
    storage.fails = False
    assert links("a") is not None

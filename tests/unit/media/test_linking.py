"""Links that may expire."""

from hookcast.media.failures import StorageFailed
from hookcast.media.linking import Links
from hookcast.media.storage.local import LocalStorage


class Signing(LocalStorage):
    """A storage that numbers its links, and may fail to sign."""

    def __init__(self) -> None:
        self.made = 0
        self.fails = False

    def links(self, keys: list[str], seconds: int) -> list[str]:  # noqa: ARG002 - these links are numbered
        """See Storage."""
        if self.fails:
            raise StorageFailed("The credentials have expired.")
        self.made += 1
        return [f"https://bucket.example/{key}?{self.made}" for key in keys]


def test_a_link_stays_for_half_of_its_life() -> None:
    now = 0.0
    links = Links(Signing(), 100, lambda: now)
    first = links("a")
    now = 49.0
    assert links("a") == first
    now = 51.0
    assert links("a") != first


def test_a_storage_that_cannot_sign_costs_the_link_and_no_more() -> None:
    storage = Signing()
    links = Links(storage, 100, lambda: 0.0)
    storage.fails = True
    assert links("a") is None
    storage.fails = False
    assert links("a") is not None

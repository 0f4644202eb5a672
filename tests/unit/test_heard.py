"""Which webhooks were heard before."""

from hookcast.routes.services import Heard


def test_the_same_signature_counts_once_for_each_job() -> None:
    heard = Heard()
    assert [heard.first("a", "s"), heard.first("a", "s"), heard.first("b", "s"), heard.first("a", "t")] == [
        True,
        False,
        True,
        True,
    ]


def test_only_so_many_are_kept() -> None:
    """The oldest is forgotten; at worst it is logged again."""
    heard = Heard(kept=2)
    for name in "abc":
        heard.first(name, "s")
    assert [heard.first(name, "s") for name in "cba"] == [False, False, True]

"""Token buckets."""

from hookcast.buckets import Buckets
from support.push import Time


def test_a_full_bucket_is_spent_at_once_and_fills_with_time() -> None:
    """What is refused costs nothing, and the answer says when there is enough."""
    time = Time()
    buckets = Buckets(time, rate=2, burst=10)
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert round(buckets.take("a"), 3) == 0.5
    assert round(buckets.take("a", 4), 3) == 2.0
    time.now += 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0
    time.now += 1000
    assert [buckets.take("a") for _ in range(10)] == [0.0] * 10
    assert buckets.take("a") > 0


def test_holders_have_buckets_of_their_own() -> None:
    """One that is empty is no other's."""
    buckets = Buckets(Time(), rate=1, burst=1)
    assert buckets.take("a") == buckets.take("b") == 0.0
    assert buckets.take("a") > 0


def test_the_last_of_many_small_parts_is_there() -> None:
    """Sums of fractions are not exact."""
    buckets = Buckets(Time(), rate=3, burst=1000)
    assert not any(buckets.take("a") for _ in range(1000))
    assert buckets.take("a") > 0


def test_nothing_is_kept_of_full_buckets() -> None:
    """They are forgotten as others are used."""
    time = Time()
    buckets = Buckets(time, rate=1, burst=2)
    for number in range(1000):
        buckets.take(number)
        time.now += 1
    assert len(buckets) <= 2


def test_the_number_of_holders_is_bounded() -> None:
    """The one that came longest ago gets a full bucket."""
    buckets = Buckets(Time(), rate=1, burst=1, kept=3)
    for holder in "abcd":
        assert buckets.take(holder) == 0.0
    assert len(buckets) == 3
    assert buckets.take("d") > 0
    assert buckets.take("a") == 0.0


def test_a_holder_that_is_forgotten_leaves_nothing() -> None:
    """Whether it was there or not."""
    buckets = Buckets(Time(), rate=1, burst=1)
    buckets.take("a")
    buckets.forget("a")
    buckets.forget("a")
    assert len(buckets) == 0

"""What waits to be published on Redis."""

from hookcast.bus.outbox import MAX_BYTES, MAX_MESSAGE_BYTES, PORTION, PORTION_BYTES, Outbox


def test_messages_leave_in_order_in_portions() -> None:
    outbox = Outbox()
    for number in range(PORTION + 1):
        outbox.put(["a"], b"%d" % number)
    first, rest = outbox.take(), outbox.take()
    assert [payload for _, payload in first + rest] == [b"%d" % number for number in range(PORTION + 1)]
    assert (len(first), len(rest), outbox.take()) == (PORTION, 1, [])


def test_a_portion_is_bounded_in_bytes_too_but_never_empty() -> None:
    """A pipeline of large states would not be sent before its deadline."""
    outbox = Outbox()
    half, large = bytes(PORTION_BYTES // 2), bytes(2 * PORTION_BYTES)
    for payload in (half, half, half, large):
        outbox.put(["a"], payload)
    assert [[payload for _, payload in outbox.take()] for _ in range(3)] == [[half, half], [half], [large]]


def test_beyond_the_bound_the_oldest_are_dropped() -> None:
    outbox, large = Outbox(), MAX_MESSAGE_BYTES // 2
    for number in range(3 * MAX_BYTES // large):
        outbox.put(["a"], bytes([number]) * large)
    assert large * len(outbox) <= MAX_BYTES < large * (len(outbox) + 2)
    assert outbox.take()[0][1][0] == 3 * MAX_BYTES // large - len(outbox) - 1


def test_small_messages_are_bounded_too() -> None:
    """By what Python needs for each."""
    outbox = Outbox()
    for _ in range(300_000):
        outbox.put(["a"], b"")
    assert len(outbox) < 150_000


def test_a_state_that_redis_would_drop_its_subscribers_for_is_not_published() -> None:
    outbox = Outbox()
    outbox.put(["a", "b"], bytes(MAX_MESSAGE_BYTES + 1))
    outbox.put(["c"], b"small")
    assert outbox.take() == [("c", b"small")]


def test_what_is_cleared_leaves_its_room() -> None:
    outbox = Outbox()
    outbox.put("abcd", bytes(MAX_MESSAGE_BYTES))
    outbox.clear()
    outbox.put("abcd", bytes(MAX_MESSAGE_BYTES))
    assert len(outbox) == 4

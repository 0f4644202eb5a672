"""When old jobs are removed; what is removed is in tests/contract."""

from datetime import timedelta
from itertools import pairwise
from unittest.mock import AsyncMock

import pytest

from hookcast.app import utc_now
from hookcast.upkeep.retention import Retention

pytestmark = pytest.mark.anyio


class Enough(Exception):
    """Ends the test."""


async def test_old_jobs_are_removed_soon_after_the_start_and_then_now_and_again() -> None:
    """A node that is replaced each half hour would never do it otherwise."""
    pauses: list[float] = []
    store = AsyncMock()
    ended = (store.remove_ended, store.submits.forget, store.leases.forget_ended, store.forget_removed)
    for step in (*ended, store.shrink):
        step.return_value = 0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise Enough

    with pytest.raises(Enough):
        await Retention(store, utc_now, timedelta(days=30), sleep=sleep).run()
    assert store.remove_ended.await_count == 3
    assert pauses[0] <= 60
    assert all(1800 <= later <= 3600 for _, later in pairwise(pauses))

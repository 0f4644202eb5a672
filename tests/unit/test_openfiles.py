"""Files for what is no connection, connections for what is no stream."""

import pytest

from hookcast.openfiles import shared_out


@pytest.mark.parametrize("limit", [32, 64, 100, 256, 1024, 20_000, 1_048_576])
def test_some_connections_are_left_for_webhooks(limit: int) -> None:
    connections, streams = shared_out(limit)
    assert 0 < streams <= connections - 8


@pytest.mark.parametrize("limit", [64, 100, 256, 1024, 20_000])
def test_some_files_are_left_for_the_database_and_fal(limit: int) -> None:
    assert limit - shared_out(limit)[0] >= 40


def test_a_large_limit_is_for_streams() -> None:
    assert shared_out(20_000) == (19_872, 19_488)

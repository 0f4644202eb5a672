"""Drafts that crashed nodes leave behind are removed; those of copies that run are not."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from hookcast.app import utc_now
from hookcast.media.parts import Media, open_media
from hookcast.media.stopping import Stop
from hookcast.upkeep.sweeper import Sweeper

pytestmark = pytest.mark.anyio


class Enough(Exception):
    """Ends the test."""


@pytest.fixture
def media(tmp_path: Path) -> Media:
    """Parts that keep files in `tmp_path/media`."""
    limits = {"link_seconds": 60, "max_bytes": 1000, "concurrency": 1}
    return open_media(f"file://{tmp_path}/media", None, served_at="/media", allow_local=False, **limits)


def draft(media: Media, age: timedelta) -> None:
    """Begin a file, and leave it as a crash would."""
    media.storage.begin("job-1", None, "image/png", Stop()).write(memoryview(b"x"))
    [made] = [stored for stored in media.storage.drafts() if utc_now() - stored.modified < timedelta(minutes=1)]
    then = (utc_now() - age).timestamp()
    os.utime(media.storage.path(made.key), (then, then))  # type: ignore[attr-defined]


async def test_drafts_older_than_an_hour_are_removed(media: Media) -> None:
    for minutes in (50, 70, 90):
        draft(media, timedelta(minutes=minutes))
    assert await Sweeper(media, utc_now).sweep() == 2
    assert len(list(media.storage.drafts())) == 1
    media.turns.close()


async def test_a_storage_that_fails_is_swept_the_next_time(media: Media, tmp_path: Path) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            (tmp_path / "media").rmdir()
            draft(media, timedelta(hours=2))
        if len(pauses) == 3:
            raise Enough

    (tmp_path / "media").mkdir()
    with pytest.raises(Enough):
        await Sweeper(media, utc_now, sleep=sleep).run()
    assert list(media.storage.drafts()) == []
    assert pauses[0] <= 60
    media.turns.close()

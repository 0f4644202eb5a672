"""A host of files for each test."""

from collections.abc import Iterator

import pytest

from support.filehost import FileHost, running_host


@pytest.fixture
def host() -> Iterator[FileHost]:
    """Run a host of files over plain HTTP."""
    with running_host() as running:
        yield running

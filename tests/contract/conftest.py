"""Two servers of the S3 protocol."""

from collections.abc import Iterator

import pytest

from support.buckets import Bucket, running_moto, running_s3rver


@pytest.fixture(scope="module")
def moto() -> Iterator[Bucket]:
    """Run moto for all tests here."""
    with running_moto() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def s3rver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """Run s3rver for all tests here."""
    with running_s3rver(tmp_path_factory.mktemp("s3rver")) as bucket:
        yield bucket

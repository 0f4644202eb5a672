"""Servers of the protocols of S3, Google Cloud Storage and Azure."""

from collections.abc import Iterator

import pytest

from support.azurite import Container, running_azurite
from support.buckets import Bucket, running_moto, running_s3rver
from support.gcs import GoogleBucket, running_gcs


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


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Run Azurite for all tests here."""
    with running_azurite(tmp_path_factory.mktemp("azurite")) as container:
        yield container


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleBucket]:
    """Run the stand-in for Google Cloud Storage for all tests here."""
    with running_gcs(tmp_path_factory.mktemp("gcs")) as bucket:
        yield bucket

"""The image, built once from the unchanged Dockerfile. For `make test-image`; plain pytest leaves these tests out."""

import os

import pytest

from support.image import PUBLISHED, ROOT, Buildah, Files, Image, make_scratch
from support.imagebases import make_node_base, make_python_base

NODE, PYTHON = "localhost/node", "localhost/python"


@pytest.fixture(scope="session")
def buildah() -> Buildah:
    """A storage of images."""
    assert os.geteuid() == 0, "only root can make file systems and mount them"
    return Buildah(make_scratch())


@pytest.fixture(scope="session")
def base(buildah: Buildah) -> Files:
    """What the image is built upon."""
    return Files(make_python_base(buildah, PYTHON))


@pytest.fixture(scope="session")
def image(buildah: Buildah, base: Files) -> Image:  # noqa: ARG001 - its base has to be there
    """The image, as whoever publishes it builds it."""
    make_node_base(buildah, NODE)
    return buildah.build(ROOT, "localhost/hookcast", NODE_IMAGE=NODE, PYTHON_IMAGE=PYTHON, **PUBLISHED)

"""Values for what deploy/ leaves open, and a fal on this machine."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from nacl.signing import SigningKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from support.access import API_KEY, SECRET
from support.deploy import Backends, Fal
from support.falhost import running_falhost
from support.postgres import Postgres
from support.redis import Redis


@pytest.fixture(scope="module")
async def falhost() -> AsyncIterator[Fal]:
    """A fal for processes of their own."""

    async def answer(request: Request) -> Response:
        if request.method == "POST":
            return JSONResponse({"request_id": str(uuid.uuid4())})
        return JSONResponse({"status": "IN_QUEUE", "queue_position": 0})

    key = SigningKey.generate()
    async with running_falhost(key, answer) as settings:
        yield Fal(key, {f"HOOKCAST_{name.upper()}": value for name, value in settings.items()})


@pytest.fixture(scope="session")
def filled() -> dict[str, str]:
    """Everything that an operator has to fill in."""
    return {
        "DOMAIN": "hookcast.example",
        "FAL_KEY": "key-at-fal",
        "HOOKCAST_API_KEYS": API_KEY,
        "HOOKCAST_TOKEN_SECRET": SECRET,
        "POSTGRES_PASSWORD": "password-of-the-database",
    }


@pytest.fixture(scope="module")
def backends(postgres: Postgres, redis_server: Redis) -> Iterator[Backends]:
    """For all tests of a module."""
    name = f"deploy_{uuid.uuid4().hex}"
    postgres.create(name)
    yield Backends(f"127.0.0.1:{postgres.port}/{name}", f"127.0.0.1:{redis_server.port}")
    postgres.drop(name)

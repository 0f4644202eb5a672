"""TLS to PostgreSQL as libpq's words say it, and the other words of URLs that real servers understand."""

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text

from hookcast.errors import StoreRefused
from hookcast.postgres_url import parse
from hookcast.store import open_store
from hookcast.store.postgresql import Postgresql
from support.certificates import make_certificate
from support.postgres import Postgres

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server's certificate for 127.0.0.1, while it speaks TLS."""
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    kept = postgres.folder / "tls.pem"
    shutil.copy(made, kept)
    kept.chmod(0o600)
    if os.getuid() == 0:
        os.chown(kept, pwd.getpwnam("postgres").pw_uid, -1)
    names = {"ssl_cert_file": f"'{kept}'", "ssl_key_file": f"'{kept}'", "ssl": "on"}
    postgres.sql(*(f"ALTER SYSTEM SET {name} = {value}" for name, value in names.items()), "SELECT pg_reload_conf()")
    yield made
    postgres.sql(*(f"ALTER SYSTEM RESET {name}" for name in names), "SELECT pg_reload_conf()")


async def answer(url: str, sql: str) -> object:
    """Return what a query on a new connection says."""
    database = Postgresql(parse(url))
    try:
        return await database.read(lambda connection: connection.execute(text(sql)).scalar())
    finally:
        await database.close()


ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.mark.parametrize(
    ("words", "encrypted"),
    [
        ("", True),
        ("?sslmode=disable", False),
        ("?sslmode=allow", False),
        ("?sslmode=prefer", True),
        ("?sslmode=require", True),
        ("?sslmode=require&channel_binding=require", True),
        ("?sslmode=no-verify", True),
        ("?ssl=true", True),
        ("?sslmode=require&sslrootcert={ca}", True),
        ("?sslmode=verify-ca&sslrootcert={ca}", True),
        ("?sslmode=verify-full&sslrootcert={ca}", True),
        ("?sslrootcert={ca}", True),
    ],
)
async def test_a_mode_is_what_libpq_makes_of_it(
    postgres_url: str, authority: Path, words: str, encrypted: bool
) -> None:
    assert await answer(postgres_url + words.replace("{ca}", str(authority)), ENCRYPTED) is encrypted


@pytest.mark.parametrize("words", ["?sslmode=verify-full", "?sslmode=verify-ca", "?sslrootcert=system"])
@pytest.mark.usefixtures("authority")
async def test_a_server_that_nobody_vouches_for_is_refused(postgres_url: str, words: str) -> None:
    """Without a file of authorities, those of the system count."""
    with pytest.raises(StoreRefused) as caught:
        async with open_store(postgres_url + words):
            pass
    assert "sslrootcert" in caught.value.reason


async def test_another_authority_vouches_for_nothing(postgres_url: str, authority: Path, tmp_path: Path) -> None:
    """Also with `require`, once a file is named."""
    other = make_certificate(tmp_path, "other")
    assert other != authority
    for mode in ("require", "verify-ca"):
        with pytest.raises(StoreRefused):
            async with open_store(f"{postgres_url}?sslmode={mode}&sslrootcert={other}"):
                pass


async def test_words_reach_the_server(postgres_url: str, postgres: Postgres) -> None:
    """Names, options, a socket, and an address by itself."""
    assert await answer(f"{postgres_url}?application_name=my%20app", "SHOW application_name") == "my app"
    assert await answer(postgres_url, "SHOW application_name") == "hookcast"
    assert await answer(f"{postgres_url}?options=-c%20search_path%3Dpg_catalog", "SHOW search_path") == "pg_catalog"
    name = postgres_url.rpartition("/")[2]
    folder = quote(str(postgres.folder), safe="")
    for url in (
        f"postgresql://hookcast@/{name}?host={folder}&port={postgres.port}",
        f"postgres://hookcast@{folder}:{postgres.port}/{name}",
    ):
        assert await answer(url, "SELECT inet_client_addr() IS NULL") is True


@pytest.mark.parametrize(
    "words",
    [
        "?sslmode=prefer&channel_binding=require&connect_timeout=10&keepalives=1&gssencmode=disable",
        "?pgbouncer=true&connection_limit=1&pool_timeout=10&schema=public&statement_cache_size=0",
        "?target_session_attrs=read-write",
    ],
)
async def test_words_without_effect_do_no_harm(any_postgresql: str, words: str) -> None:
    """Directly, and through a pooler."""
    async with open_store(any_postgresql + words) as store:
        await store.probe()


@pytest.fixture(params=["postgres_url", "pooler_url"])
def any_postgresql(request: pytest.FixtureRequest) -> str:
    """An empty PostgreSQL database, directly and behind the pooler."""
    found: str = request.getfixturevalue(request.param)
    return found

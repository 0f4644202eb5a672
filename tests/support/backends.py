"""The receivers of docs/backend.md, each run by its framework's own server on a database of its own."""

import asyncio
import sys
import uuid
from asyncio.subprocess import STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.accounts import Accounts, InPostgres, InSqlite, InSupabase
from support.commands import clean_environment
from support.connections import connected
from support.dataapi import SECRET_KEY, running_data_api
from support.ports import quiet_port
from support.postgres import Postgres
from support.projects import BUILT
from support.readmes import apply_diff, code_blocks, write_files
from support.supabase import supabase_database, supabase_roles

PAGE = "docs/backend.md"
SECRET = "whsec_b25lIHNlY3JldCBvZiB0aGUgdGVzdHMsIG9uZQ=="  # the receivers'
HARNESS = Path(__file__).parents[1] / "receivers"
PACKAGES = Path(__file__).parents[1] / "clients/node_modules"
DEADLINE = 120.0


@dataclass(frozen=True)
class Backend:
    """A running receiver: the URL of its route, and its accounts."""

    url: str
    accounts: Accounts


@asynccontextmanager
async def nextjs(folder: Path, postgres: Postgres) -> AsyncIterator[Backend]:
    """Run the route in the copy of the example that tests/projects/build has built."""
    copy = BUILT / "nextjs"
    write_files(folder, PAGE, "### Next.js")
    (route,) = folder.rglob("route.ts")
    assert (copy / route.relative_to(folder)).read_text() == route.read_text(), "tests/projects/build"
    command = ("node", "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "--port", "PORT")
    with _tables(postgres) as url:
        environment = {"DATABASE_URL": url, "NEXT_TELEMETRY_DISABLED": "1"}
        async with running_command(folder, command, cwd=copy, environment=environment) as address:
            yield Backend(f"{address}/api/hookcast", InPostgres(url))


@asynccontextmanager
async def express(folder: Path, postgres: Postgres) -> AsyncIterator[Backend]:
    """Run the script with Node."""
    write_files(folder, PAGE, "### Express")
    async with _running_express(folder, postgres) as backend:
        yield backend


@asynccontextmanager
async def express_with_hookcast(folder: Path, postgres: Postgres, **environment: str) -> AsyncIterator[Backend]:
    """Run the script with our npm package, as packed, in place of the official library."""
    app, package = folder / "app", BUILT / "vite/node_modules/hookcast"
    assert package.exists(), "tests/projects/build"
    write_files(app, PAGE, "### Express")
    (diff,) = code_blocks(PAGE, "### Express", "diff")
    apply_diff(app / "server.mjs", diff)
    (folder / "node_modules").mkdir()
    (folder / "node_modules/hookcast").symlink_to(package)
    async with _running_express(app, postgres, **environment) as backend:
        yield backend


@asynccontextmanager
async def _running_express(folder: Path, postgres: Postgres, **environment: str) -> AsyncIterator[Backend]:
    (folder / "node_modules").symlink_to(PACKAGES)
    with _tables(postgres) as url:
        given = {"DATABASE_URL": url, **environment}
        async with running_command(folder, ("node", "server.mjs"), environment=given) as address:
            yield Backend(f"{address}/webhooks/hookcast", InPostgres(url))


@asynccontextmanager
async def fastapi(folder: Path, postgres: Postgres) -> AsyncIterator[Backend]:
    """Run the application with uvicorn."""
    write_files(folder, PAGE, "### FastAPI")
    command = (sys.executable, "-m", "uvicorn", "main:app", "--port", "PORT")
    with _tables(postgres) as url:
        environment = {"DATABASE_URL": url.replace("postgresql:", "postgresql+asyncpg:")}
        async with running_command(folder, command, environment=environment) as address:
            yield Backend(f"{address}/webhooks/hookcast", InPostgres(url))


@asynccontextmanager
async def django(folder: Path, _: Postgres) -> AsyncIterator[Backend]:
    """Run a project with Django's own server."""
    write_files(folder, PAGE, "### Django")
    command = (sys.executable, str(HARNESS / "django_project.py"), "PORT")
    async with running_command(folder, command, environment={}) as address:
        yield Backend(f"{address}/webhooks/hookcast", InSqlite(folder / "db.sqlite3", "billing_account"))


@asynccontextmanager
async def rails(folder: Path, _: Postgres) -> AsyncIterator[Backend]:
    """Run an application with Debian's Rails and puma."""
    write_files(folder, PAGE, "### Rails")
    database = folder / "db.sqlite3"
    command = ("puma", "--bind", "tcp://127.0.0.1:PORT", "--threads", "2:2", str(HARNESS / "rails_project.ru"))
    environment = {"DATABASE_URL": f"sqlite3:{database}", "RAILS_ENV": "production"}
    async with running_command(folder, command, environment=environment) as address:
        yield Backend(f"{address}/webhooks/hookcast", InSqlite(database, "accounts"))


@asynccontextmanager
async def supabase(folder: Path, postgres: Postgres) -> AsyncIterator[Backend]:
    """Run the Edge Function with Deno, offline, on a database as Supabase sets up its own."""
    write_files(folder, PAGE, "### Supabase Edge Functions")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "package.json").write_text("{}")
    (sql,) = folder.glob("supabase/migrations/*.sql")
    deno = (str(PACKAGES / ".bin/deno"), "run", "--quiet", "--cached-only", "--node-modules-dir=manual")
    command = (*deno, "--allow-env", "--allow-net=127.0.0.1", "supabase/functions/hookcast/index.ts")
    with supabase_roles(postgres), supabase_database(postgres) as url:
        async with running_data_api(url) as api:
            accounts = InSupabase(url)
            await accounts.run(sql.read_text())
            keys = f'{{"default": "{SECRET_KEY}"}}'
            environment = {
                "DENO_SERVE_ADDRESS": "tcp:127.0.0.1:PORT",
                "SUPABASE_URL": api,
                "SUPABASE_SECRET_KEYS": keys,
            }
            async with running_command(folder, command, environment=environment) as address:
                yield Backend(f"{address}/functions/v1/hookcast", accounts)


Start = Callable[[Path, Postgres], AbstractAsyncContextManager[Backend]]
STARTS: tuple[Start, ...] = (nextjs, express, express_with_hookcast, fastapi, django, rails, supabase)
BACKENDS: Mapping[str, Start] = {start.__name__: start for start in STARTS}


@contextmanager
def _tables(postgres: Postgres) -> Iterator[str]:
    """Make a database with the tables of the page for the block, and yield its URL."""
    (sql,) = code_blocks(PAGE, "## Receivers", "sql")
    name = f"receiver_{uuid.uuid4().hex}"
    url = postgres.create(name)
    postgres.sql(sql, database=name)
    yield url
    postgres.drop(name)


@asynccontextmanager
async def running_command(
    folder: Path, command: tuple[str, ...], *, cwd: Path | None = None, environment: Mapping[str, str]
) -> AsyncIterator[str]:
    """Run a server until the block ends, with its port for PORT; yield its address once it accepts connections."""
    port = quiet_port()
    words = [word.replace("PORT", str(port)) for word in command]
    settings = {name: value.replace("PORT", str(port)) for name, value in environment.items()}
    given = {"HOOKCAST_FORWARD_SECRET": SECRET, "PORT": str(port), **settings}
    with (folder / "log.txt").open("wb") as log:
        process = await create_subprocess_exec(
            *words, cwd=cwd or folder, env=clean_environment({}) | given, stdout=log, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(DEADLINE):
                while not await _accepts(port):
                    assert process.returncode is None, (folder / "log.txt").read_text()
                    await asyncio.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _accepts(port: int) -> bool:
    with suppress(ConnectionError):
        async with connected(port):
            return True
    return False

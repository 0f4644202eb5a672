"""The SQL of docs/backend.md on a database as Supabase sets up its own: only the Edge Function charges."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.accounts import InSupabase
from support.backends import PAGE
from support.postgres import Postgres
from support.readmes import code_blocks
from support.supabase import supabase_database, supabase_roles

pytestmark = pytest.mark.anyio
CHARGE = "SELECT public.charge_once('msg_1', '{}')"


@pytest.fixture
async def accounts(postgres: Postgres) -> AsyncIterator[InSupabase]:
    """The tables and the function of the page."""
    (sql,) = code_blocks(PAGE, "### Supabase Edge Functions", "sql")
    with supabase_roles(postgres), supabase_database(postgres) as url:
        found = InSupabase(url)
        await found.run(sql)
        yield found


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_a_browser_charges_nobody(accounts: InSupabase, role: str) -> None:
    owner = str(uuid.uuid4())
    await accounts.open(owner, 10)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await accounts.run(f"SET ROLE {role}; {CHARGE.format(owner)}")
    assert await accounts.credit(owner) == 10


async def test_the_secret_key_charges(accounts: InSupabase) -> None:
    owner = str(uuid.uuid4())
    await accounts.open(owner, 10)
    await accounts.run(f"SET ROLE service_role; {CHARGE.format(owner)}")
    assert await accounts.credit(owner) == 9


@pytest.mark.parametrize("change", ["UPDATE accounts SET credits = 99", "DELETE FROM heard_webhooks"])
async def test_a_browser_changes_no_row(accounts: InSupabase, change: str) -> None:
    owner = str(uuid.uuid4())
    await accounts.open(owner, 10)
    await accounts.run(CHARGE.format(owner))
    await accounts.run(f"SET ROLE authenticated; {change}")
    assert await accounts.credit(owner) == 9
    assert await accounts.run("SELECT count(*) FROM heard_webhooks WHERE $1", True) == 1

"""docs/adopt/supabase.md: its function, with Deno, for a user of Supabase Auth whose token Hookcast accepts as well."""

import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from hookcast.client import Hookcast
from support.access import API_KEY, IdentityProvider
from support.adopting import backend_environment, running_hookcast
from support.backends import DEADLINE, PACKAGES, running_command
from support.jwks import served_by_thread
from support.readmes import shell_blocks, write_files
from support.server import Node

pytestmark = pytest.mark.anyio
PAGE = "docs/adopt/supabase.md"
PROJECT = "https://abcdefghijklmnopqrst.supabase.co"
USER = "0d9a2c5e-7b51-4f0e-9d55-0a6f3f1c2b34"


@pytest.fixture(scope="module")
def auth() -> IdentityProvider:
    """The keys of Supabase Auth."""
    return IdentityProvider()


@pytest.fixture(scope="module")
def project(auth: IdentityProvider) -> Iterator[str]:
    """The project's URL, where its keys are."""
    with served_by_thread(auth.document()) as address:
        yield address


@pytest.fixture(scope="module")
async def hookcast(tmp_path_factory: pytest.TempPathFactory, project: str) -> AsyncIterator[Node]:
    """A Hookcast with the settings of the page."""
    (block,) = [block for block in shell_blocks(PAGE, "## 1. Let users see their jobs") if "JWKS" in block]
    found = re.findall(r"^HOOKCAST_(TOKEN_\w+)=(\S+)", block.replace(PROJECT, project), re.MULTILINE)
    settings = {name.lower(): value for name, value in found}
    assert settings.keys() == {"token_jwks_url", "token_issuer", "token_audience"}
    async with running_hookcast(tmp_path_factory.mktemp("hookcast"), **settings) as node:
        yield node


@pytest.fixture(scope="module")
async def function(
    tmp_path_factory: pytest.TempPathFactory, project: str, hookcast: Node
) -> AsyncIterator[httpx.AsyncClient]:
    """The running function."""
    folder = tmp_path_factory.mktemp("function")
    write_files(folder, PAGE, "## 2. Submit")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "package.json").write_text("{}")
    deno = (str(PACKAGES / ".bin/deno"), "run", "--quiet", "--cached-only", "--node-modules-dir=manual")
    command = (*deno, "--allow-env", "--allow-net=127.0.0.1", "supabase/functions/generate/index.ts")
    environment = {
        "DENO_SERVE_ADDRESS": "tcp:127.0.0.1:PORT",
        "SUPABASE_URL": project,
        "SUPABASE_ANON_KEY": "sb_publishable_of_the_tests",
        **backend_environment(hookcast.url),
    }
    async with (
        running_command(folder, command, environment=environment) as address,
        httpx.AsyncClient(base_url=address, timeout=DEADLINE) as client,
    ):
        yield client


@pytest.fixture
def token(auth: IdentityProvider, project: str) -> str:
    """The access token of the user's session."""
    return auth.token("ES256", iss=f"{project}/auth/v1", sub=USER, role="authenticated")


async def test_a_user_submits_and_sees_the_outcome_with_the_same_token(
    function: httpx.AsyncClient, hookcast: Node, token: str
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = await function.post("/", json={"prompt": "a lighthouse"}, headers=headers)
    assert answer.status_code == 202, answer.text
    assert API_KEY not in answer.text
    async with Hookcast(hookcast.url, token=token) as client:
        jobs = [job async for job in client.watch(answer.json()["requestId"], timeout=DEADLINE)]
    assert (jobs[-1].status, jobs[-1].owner) == ("completed", USER)


@pytest.mark.parametrize("wrong", ["", "Bearer no-token", "forged"])
async def test_who_is_not_signed_in_is_refused(function: httpx.AsyncClient, project: str, wrong: str) -> None:
    forged = IdentityProvider().token("ES256", iss=f"{project}/auth/v1", sub=USER)
    headers = {"Authorization": f"Bearer {forged}" if wrong == "forged" else wrong}
    answer = await function.post("/", json={"prompt": "a lighthouse"}, headers=headers)
    assert answer.status_code == 401


async def test_a_page_may_call_it(function: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Headers": "authorization,content-type"}
    answer = await function.options("/", headers=asked | {"Access-Control-Request-Method": "POST"})
    assert answer.is_success
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"

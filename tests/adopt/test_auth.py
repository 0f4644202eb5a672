"""docs/adopt/auth.md: its code for each identity provider, built, in Chromium, with the settings of docs/access.md.

The SDKs of the providers want an account: `sdks/` has what stands in for them. Supabase's is its own.
"""

import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from support.access import ADMIN
from support.adopting import built_app, running_hookcast
from support.backends import PACKAGES
from support.clients import DEADLINE
from support.jwks import served_by_thread
from support.ports import quiet_port
from support.providers import USER, Token, documented, make, published
from support.readmes import write_files
from support.server import Node

pytestmark = pytest.mark.anyio
expect.set_options(timeout=DEADLINE * 1000)
SDKS = Path(__file__).parent / "sdks"
EXAMPLE = "https://hooks.example.com"


@dataclass(frozen=True)
class Case:
    """A heading of a page, the provider's name in docs/access.md, its SDK, and a token of its."""

    heading: str
    provider: str
    package: str
    claims: dict[str, Any]
    page: str = "docs/adopt/auth.md"
    algorithm: str = "RS256"

    @property
    def sdk(self) -> Path:
        """What stands in for the SDK."""
        return SDKS / f"{self.heading.removeprefix('## ').lower()}.ts"

    def token(self, expires_in: float = 600) -> str:
        """A token of the user."""
        token = Token(self.provider, "", {"sub": USER, **self.claims}, "", self.algorithm, expires_in=expires_in)
        return make("PyJWT", [token], time.time())[0]


CASES = (
    Case("## Clerk", "Clerk", "@clerk/nextjs", {"iss": "https://clerk.example.com", "azp": "https://app.example.com"}),
    Case(
        "## Auth0",
        "Auth0",
        "@auth0/auth0-react",
        {"iss": "https://example.eu.auth0.com/", "aud": ["https://api.example.com"], "azp": "client"},
    ),
    Case(
        "## Firebase",
        "Firebase Authentication",
        "firebase/auth",
        {"iss": "https://securetoken.google.com/example-project", "aud": "example-project", "user_id": USER},
    ),
    Case(
        "## Cognito",
        "Amazon Cognito",
        "aws-amplify/auth",
        {
            "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example",
            "client_id": "1example23456789",
            "token_use": "access",
        },
    ),
    Case(
        "## Keycloak",
        "Keycloak",
        "keycloak-js",
        {"iss": "https://keycloak.example.com/realms/example", "aud": ["my-app", "account"], "azp": "my-app"},
    ),
    Case(
        "## 1. Let users see their jobs",
        "Supabase Auth",
        "@supabase/supabase-js",
        {"iss": "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "aud": "authenticated", "role": "authenticated"},
        page="docs/adopt/supabase.md",
        algorithm="ES256",
    ),
)


@pytest.fixture(params=CASES, ids=lambda case: case.provider)
def case(request: pytest.FixtureRequest) -> Case:
    """Each provider."""
    found: Case = request.param
    return found


@pytest.fixture
def port() -> int:
    """Where the page is."""
    return quiet_port()


@pytest.fixture
async def hookcast(tmp_path: Path, case: Case, port: int) -> AsyncIterator[Node]:
    """A Hookcast with the documented settings, but the place of the keys."""
    with served_by_thread(published(case.provider, {case.algorithm})) as address:
        told = documented()[case.provider] | {"HOOKCAST_TOKEN_JWKS_URL": address}
        settings = {name.removeprefix("HOOKCAST_").lower(): value for name, value in told.items()}
        async with running_hookcast(tmp_path, f"http://127.0.0.1:{port}", speed=10, **settings) as node:
            yield node


@pytest.fixture
def site(tmp_path: Path, case: Case, hookcast: Node, port: int) -> Iterator[str]:
    """The page's address."""
    app = tmp_path / "app"
    write_files(app / "src", case.page, case.heading)
    (code,) = (app / "src").glob("hookcast.*")
    code.write_text(code.read_text().replace(EXAMPLE, hookcast.url))
    main = "component.tsx" if code.suffix == ".tsx" else "client.tsx"
    copyfile(SDKS / main, app / "src/main.tsx")
    copyfile(SDKS / "mine.tsx", app / "src/mine.tsx")
    _install(case, tmp_path / "node_modules")
    environment = {
        "VITE_HOOKCAST_URL": hookcast.url,
        "VITE_SUPABASE_URL": "https://abcdefghijklmnopqrst.supabase.co",
        "VITE_SUPABASE_PUBLISHABLE_KEY": "sb_publishable_of_the_tests",
    }
    with built_app(app, port, hookcast.url, **environment) as address:
        yield address


def _install(case: Case, modules: Path) -> None:
    """Put the SDK where the app finds it."""
    if not case.sdk.exists():
        (modules / case.package).parent.mkdir(parents=True)
        (modules / case.package).symlink_to(PACKAGES / case.package)
        return
    words = case.package.split("/")
    count = 2 if words[0].startswith("@") else 1
    package, entry = modules.joinpath(*words[:count]), "/".join([".", *words[count:]])
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"type": "module", "exports": {entry: "./sdk.ts"}}))
    copyfile(case.sdk, package / "sdk.ts")


async def test_a_user_sees_the_own_jobs_with_the_providers_token(
    case: Case, hookcast: Node, site: str, browser: Browser
) -> None:
    for name, owner in (("mine", USER), ("theirs", "user-2")):
        await hookcast.client.put(f"/api/fal-jobs/{name}", json={"owner": owner}, headers=ADMIN)
    token = case.token()
    session = {"access_token": token, "refresh_token": "r", "expires_at": time.time() + 600, "user": {"id": USER}}
    page = await browser.new_page()
    stored = json.dumps(["sb-abcdefghijklmnopqrst-auth-token", json.dumps(session)])
    await page.add_init_script(f"localStorage.setItem(...{stored})")
    await page.goto(f"{site}/?token={token}&old={case.token(expires_in=-60)}")
    await expect(page.get_by_role("listitem")).to_have_text(["mine"])
    await hookcast.client.put("/api/fal-jobs/later", json={"owner": USER}, headers=ADMIN)
    await expect(page.get_by_role("listitem")).to_have_text(["later", "mine"])
    await expect(page.get_by_role("alert")).to_be_empty()
    await page.close()

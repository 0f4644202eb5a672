"""`hookcast doctor`: what it finds, and that it says what to do without showing a secret."""

import json
import resource
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from hookcast.cli import doctor
from hookcast.cli.doctor import examine
from hookcast.jwks import MAX_DOCUMENT_BYTES, TOO_LARGE
from hookcast.settings import load_settings
from hookcast.store import inspect, open_store
from hookcast.store.revision import Schema
from support.access import API_KEY, SECRET, IdentityProvider
from support.examined import findings
from support.fal import JWKS, QUEUE, FalDouble, jwk
from support.ports import quiet_port
from support.receiver import running_receiver
from support.redis import Redis
from support.server import running_node, until

pytestmark = pytest.mark.anyio
STATUS = "/status"
SITE = "https://hookcast.example"


@pytest.fixture(autouse=True)
def settle_open_files() -> Iterator[None]:
    """The doctor looks at this process, too."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def healthy(fal: FalDouble, **changes: httpx.Response) -> None:
    """A fal that knows the key, and a public address that leads to Hookcast."""
    answers = {
        STATUS: httpx.Response(404, json={"detail": "Request not found"}),
        "/healthz": httpx.Response(200, json={"status": "ok"}),
        "/webhooks/fal": httpx.Response(405, json={"code": "method_not_allowed"}),
    }
    for path, answer in (answers | changes).items():
        fal.script(path, answer)


async def test_where_all_is_well_every_line_is_ok(fal: FalDouble, database_url: str, redis_server: Redis) -> None:
    """With Redis and a public address."""
    healthy(fal)
    date = {"Date": format_datetime(datetime.now(UTC), usegmt=True)}
    fal.script("/jwks.json", httpx.Response(200, json={"keys": [jwk(fal.key)]}, headers=date))
    async with open_store(database_url):
        access = {"api_keys": API_KEY, "token_secret": SECRET, "fal_user_id": "user-1"}
        found = await findings(fal, database_url, public_url=SITE, redis_url=redis_server.url, **access)
    assert {subject: each.level for subject, each in found.items() if subject != "open files"} == dict.fromkeys(
        ["packages", "database", "clocks", "media", "redis", "fal keys", "clock", "FAL_KEY", "PUBLIC_URL"], "ok"
    )


async def test_what_is_not_set_is_a_warning_with_the_setting(fal: FalDouble, tmp_path: Path) -> None:
    """Nothing is made: the database is the server's to make."""
    database_url = f"sqlite:///{tmp_path / 'absent.db'}"
    base = {"database_url": database_url, "fal_queue_url": QUEUE, "fal_jwks_url": JWKS}
    seen = [found async for found in examine(load_settings(**base), transport=fal)]
    warned = [f"{found.subject}: {found.text}" for found in seen if found.level == "warn"]
    file = database_url.removeprefix("sqlite:///")
    for start in ("settings: No FAL_KEY", "settings: No HOOKCAST_PUBLIC_URL", f"database: {file} is empty"):
        assert any(line.startswith(start) for line in warned), warned
    assert not Path(database_url.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("postgresql://user:secret-0@127.0.0.1:{port}/x", "database"),
        ("sqlite:////nowhere/at/all.db", "database"),
        ("redis://user:secret-0@127.0.0.1:{port}", "redis"),
    ],
    ids=["postgresql", "sqlite", "redis"],
)
async def test_what_does_not_answer_fails_with_its_setting_and_without_its_password(
    fal: FalDouble, database_url: str, monkeypatch: pytest.MonkeyPatch, url: str, setting: str
) -> None:
    """Host and port are shown."""
    monkeypatch.setattr(doctor, "ANSWER_SECONDS", 0.2)
    url = url.format(port=quiet_port())
    found = (await findings(fal, database_url, **{f"{setting}_url": url}))[setting]
    assert found.level == "fail"
    assert f"HOOKCAST_{setting.upper()}_URL" in found.text
    assert "secret-0" not in found.text


@pytest.mark.empty_database
async def test_the_schema_of_a_database_is_told(any_database_url: str) -> None:
    """None, and after the migrations the current one; its clock is this machine's."""
    assert (await inspect(any_database_url)).schema is Schema.NONE
    async with open_store(any_database_url):
        seen = await inspect(any_database_url)
    assert seen.schema is Schema.CURRENT
    assert seen.clock is not None
    assert abs(datetime.now(UTC).timestamp() - seen.clock) < 60


@pytest.mark.parametrize(("revision", "schema"), [("0001", Schema.OLD), ("9999", Schema.NEWER)])
async def test_older_and_newer_databases_are_told_apart(database_url: str, revision: str, schema: Schema) -> None:
    """An older one can be migrated, a newer one needs a newer Hookcast."""
    async with open_store(database_url):
        pass
    with sqlite3.connect(database_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    assert (await inspect(database_url)).schema is schema


@pytest.mark.parametrize(
    ("status", "level"), [(401, "fail"), (403, "fail"), (404, "ok"), (422, "ok"), (200, "ok"), (400, "warn")]
)
async def test_the_key_is_tried_on_a_job_that_does_not_exist(
    fal: FalDouble, database_url: str, status: int, level: str
) -> None:
    """That costs nothing. What fal says of it is told, the key is not."""
    healthy(fal, **{STATUS: httpx.Response(status, json={"detail": "User is locked", "status": "IN_QUEUE"})})
    found = (await findings(fal, database_url))["FAL_KEY"]
    assert found.level == level
    assert "secret-0" not in found.text
    assert {request.method for request in fal.asked(STATUS)} == {"GET"}
    if level == "fail":
        assert "User is locked" in found.text


@pytest.mark.parametrize(("seconds", "level"), [(5, "ok"), (100, "warn"), (-100, "warn"), (290, "fail")])
async def test_a_clock_that_differs_from_fals_is_noticed_before_signatures_fail(
    fal: FalDouble, database_url: str, seconds: float, level: str
) -> None:
    """Signatures are valid for 300 s."""
    date = {"Date": format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)}
    fal.script("/jwks.json", httpx.Response(200, json={"keys": [jwk(fal.key)]}, headers=date))
    assert (await findings(fal, database_url))["clock"].level == level


async def test_without_fals_keys_nothing_can_be_verified(fal: FalDouble, database_url: str) -> None:
    """Not reached, and not a key set."""
    fal.down = True
    assert (await findings(fal, database_url))["fal keys"].level == "fail"
    fal.down = False
    fal.script("/jwks.json", httpx.Response(200, text="<h1>Proxy</h1>"))
    assert (await findings(fal, database_url))["fal keys"].level == "fail"


async def test_keys_that_the_server_does_not_take_are_found_by_the_doctor(fal: FalDouble, database_url: str) -> None:
    """Both have the same limit, and the same words."""
    document = json.dumps({"keys": [jwk(fal.key)]})
    fal.script("/jwks.json", httpx.Response(200, text=document + " " * (MAX_DOCUMENT_BYTES - len(document))))
    assert (await findings(fal, database_url))["fal keys"].level == "ok"
    fal.script("/jwks.json", httpx.Response(200, text=document + " " * MAX_DOCUMENT_BYTES))
    found = (await findings(fal, database_url))["fal keys"]
    assert (found.level, TOO_LARGE in found.text) == ("fail", True)
    async with running_node(fal, database_url=database_url) as node:
        with capture_logs() as lines:
            await node.client.get("/readyz")
            await until(lambda: any(line["event"] == "keys_not_fetched" for line in lines))
    assert any(TOO_LARGE in line.get("reason", "") for line in lines)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://hookcast.example", "not https"),
        ("https://127.0.0.1:8000", "cannot reach"),
        ("https://localhost", "cannot reach"),
        ("https://192.168.1.5", "cannot reach"),
        ("https://hookcast.local", "cannot reach"),
    ],
)
async def test_a_public_address_must_be_one(fal: FalDouble, database_url: str, url: str, word: str) -> None:
    """Before it is asked at all."""
    found = (await findings(fal, database_url, public_url=url))["PUBLIC_URL"]
    assert (found.level, word in found.text) == ("fail", True)
    assert not fal.asked("/healthz")


TROUBLES = {
    "redirect": (
        "/healthz",
        httpx.Response(308, headers={"location": "https://elsewhere"}),
        "does not follow redirects",
    ),
    "a tunnel without server": ("/healthz", httpx.Response(502), "502"),
    "a stranger": ("/healthz", httpx.Response(200, text="hello"), "not as Hookcast"),
    "a login before the webhook": ("/webhooks/fal", httpx.Response(401, text="Log in"), "/api/webhooks/fal"),
}


@pytest.mark.parametrize(("path", "answer", "word"), TROUBLES.values(), ids=TROUBLES)
async def test_the_public_address_is_tried_as_fal_would_use_it(
    fal: FalDouble, database_url: str, path: str, answer: httpx.Response, word: str
) -> None:
    """Both /healthz and the webhook's path must lead to Hookcast itself."""
    healthy(fal, **{path: answer})
    found = (await findings(fal, database_url, public_url=SITE))["PUBLIC_URL"]
    assert (found.level, word in found.text) == ("fail", True), found


async def test_an_identity_provider_is_looked_at(fal: FalDouble, database_url: str) -> None:
    """Its keys are fetched like fal's; nothing is asked where there is none."""
    idp = IdentityProvider()
    provider = {"token_jwks_url": "https://idp.test/keys", "token_issuer": "https://idp.test", "token_audience": "app"}
    assert (await findings(fal, database_url, **provider))["provider"].level == "fail"
    fal.script("/keys", idp.answer())
    assert (await findings(fal, database_url, **provider))["provider"].level == "ok"
    assert "provider" not in await findings(fal, database_url)


async def test_few_open_files_are_a_warning(fal: FalDouble, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "raise_open_files", lambda: 1024)
    found = (await findings(fal, database_url))["open files"]
    assert (found.level, "LimitNOFILE" in found.text) == ("warn", True)


async def test_what_hangs_fails_and_the_others_are_looked_at_all_the_same(
    fal: FalDouble, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No check waits for ever."""
    monkeypatch.setattr(doctor, "CHECK_SECONDS", 0.3)
    fal.gate.clear()
    found = await findings(fal, database_url, public_url=SITE)
    assert [found[name].level for name in ("fal keys", "FAL_KEY", "PUBLIC_URL")] == ["fail"] * 3
    assert "open files" in found


WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def test_the_receivers_of_webhooks_are_connected_to(fal: FalDouble, database_url: str) -> None:
    """And sent nothing. What their addresses hide is not shown."""
    async with running_receiver() as receiver:
        away = f"http://user:password@127.0.0.1:{quiet_port()}/hook?key=abc"
        given = {"forward_url": f"{receiver.url}/hook?key=abc", "forward_secret": WHSEC, "forward_fal": away}
        found = await findings(fal, database_url, **given)
        assert receiver.deliveries == []
    assert (found["FORWARD_URL"].level, found["FORWARD_FAL"].level) == ("ok", "fail")
    assert "accepts connections" in found["FORWARD_URL"].text
    assert "HOOKCAST_FORWARD_FAL" in found["FORWARD_FAL"].text
    assert not any(word in repr(found) for word in ("password", "abc", "MfKQ"))

"""`hookcast doctor`: check everything a server needs, and print a fix for each problem.

It changes no job, costs nothing and prints no secret.
"""

import asyncio
import ipaddress
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from hookcast import advice
from hookcast.bus import Bus, job_topic, open_bus
from hookcast.cli import doctor_backend, doctor_database, doctor_media, doctor_providers, installation
from hookcast.cli.findings import Finding, Level, where_of
from hookcast.cli.terminal import plain
from hookcast.errors import FalRejected, FalUnreachable, SettingsError
from hookcast.fal.keys import parse_jwks
from hookcast.fal.queue import FalQueue
from hookcast.jobs import unseen
from hookcast.jwks import check_size
from hookcast.openfiles import raise_open_files
from hookcast.outgoing import check_environment, http_client
from hookcast.settings import PREFIX, Settings, load_settings
from hookcast.urls import is_loopback
from hookcast.wire import State

CHECK_SECONDS = 15.0
ANSWER_SECONDS = 5.0
FEW_FILES = 4096
FAL_SKEW_SECONDS = (30.0, 240.0)  # warn, fail: signatures are valid for 300 s
ENDPOINT = "fal-ai/flux"


Check = Callable[[Settings, httpx.AsyncClient], Awaitable[list[Finding]]]


async def run() -> int:
    """Print each finding as a line, and return the exit code."""
    console, code = Console(highlight=False), 0
    async for found in _findings():
        code = max(code, found.exit_code if found.level is Level.FAIL else 0)
        style = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}[found.level]
        parts = (f"{found.level:<5}", style), (f"{found.subject:<11}", "bold"), plain(found.text)
        console.print(Text.assemble(*parts), soft_wrap=True)
    return code


async def _findings() -> AsyncIterator[Finding]:
    try:
        settings = load_settings()
        check_environment()
    except SettingsError as error:
        yield Finding(Level.FAIL, "settings", str(error))
        return
    yield Finding(Level.OK, "settings", "every value is valid")
    async for found in examine(settings):
        yield found


async def examine(settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[Finding]:
    """Yield each finding as soon as its check completes. Tests pass a `transport` that simulates the network."""
    checks: dict[str, Check] = {
        "settings": _settings,
        "packages": _packages,
        "database": lambda settings, _web: doctor_database.look(settings),
        "media": lambda settings, _web: doctor_media.look(settings),
        "backend": lambda settings, _web: doctor_backend.look(settings),
        "redis": _redis,
        "fal keys": _fal_keys,
        "FAL_KEY": _fal_key,
        "PUBLIC_URL": _public_url,
        doctor_providers.SUBJECT: doctor_providers.look,
        "open files": _open_files,
    }
    async with http_client(timeout=ANSWER_SECONDS, transport=transport) as web:
        for subject, check in checks.items():
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    found = await check(settings, web)
            except TimeoutError:
                found = [Finding(Level.FAIL, subject, f"no answer within {CHECK_SECONDS:g} s")]
            for finding in found:
                yield finding


async def _settings(settings: Settings, _web: httpx.AsyncClient) -> list[Finding]:
    return [Finding(Level.WARN, "settings", hint) for hint in advice.warnings(settings)]


async def _packages(_settings: Settings, _web: httpx.AsyncClient) -> list[Finding]:
    """Check the versions with which `hookcast serve` refuses to start."""
    problem = await installation.find_problem()
    if problem is not None:
        return [Finding(Level.FAIL, "packages", problem)]
    bounds = installation.requirements()
    fits = " and ".join(f"{name}{bounds[name]}" for name in installation.REACHED_INTO)
    return [Finding(Level.OK, "packages", f"{fits} are installed and work")]


async def _redis(settings: Settings, _web: httpx.AsyncClient) -> list[Finding]:
    """Publish a message on one connection and receive it on another, as a deployment of their own."""
    if settings.bus_url is None:
        return [Finding(Level.OK, "redis", "not set: a single process does not need Redis")]
    where, heard, nobodys = where_of(settings.bus_url), asyncio.Event(), uuid.uuid4().hex
    async with (
        open_bus(settings.bus_url, nobodys, lambda _: None) as speaker,
        open_bus(settings.bus_url, nobodys, lambda _: heard.set()) as listener,
    ):
        took = await _round_trip(speaker, listener, heard)
    if took is None:
        advice = f"start it, or check {PREFIX}REDIS_URL and its password"
        return [Finding(Level.FAIL, "redis", f"{where} does not deliver messages; {advice}")]
    return [Finding(Level.OK, "redis", f"{where} delivers messages, in {took * 1000:.1f} ms")]


async def _round_trip(speaker: Bus, listener: Bus, heard: asyncio.Event) -> float | None:
    """Return the seconds from publish to delivery, or None on timeout."""
    name = f"doctor-{uuid.uuid4()}"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while not (speaker.condition == listener.condition == "ok"):  # noqa: ASYNC110 - a bus has no event for going live
                await asyncio.sleep(0.02)
            await listener.subscribe([job_topic(name)])
            began = time.monotonic()
            await speaker.publish(State(request_id=name, version=1, terminal=False, body=b"{}"))
            await heard.wait()
            return time.monotonic() - began
    except TimeoutError:
        return None


async def _fal_keys(settings: Settings, web: httpx.AsyncClient) -> list[Finding]:
    """Fetch fal's public keys; the response's Date header also yields fal's clock."""
    url = settings.fal_jwks_url
    try:
        response = await web.get(url)
        response.raise_for_status()
        count = len(parse_jwks(check_size(response.content)))
    except (httpx.HTTPError, ValueError) as error:
        reason = type(error).__name__ if isinstance(error, httpx.HTTPError) else str(error)
        advice = "without them no webhook can be verified; check outgoing connections (firewall, proxy, DNS)"
        return [Finding(Level.FAIL, "fal keys", f"{url} returns none ({reason}); {advice}")]
    found = Finding(Level.OK, "fal keys", f"{url} returns {count}")
    return [found, *_fal_clock(response.headers.get("date", ""), datetime.now(UTC))]


def _fal_clock(date: str, now: datetime) -> list[Finding]:
    try:
        skew = abs((now - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError):
        return [Finding(Level.WARN, "clock", "fal sent no valid Date header, so the clocks could not be compared")]
    warn, fail = FAL_SKEW_SECONDS
    if skew < warn:
        return [Finding(Level.OK, "clock", "this machine and fal agree")]
    level = Level.WARN if skew < fail else Level.FAIL
    return [Finding(level, "clock", f"{skew:.0f} s off fal's clock; signatures are valid for 300 s: set up NTP")]


async def _fal_key(settings: Settings, web: httpx.AsyncClient) -> list[Finding]:
    """Query the status of a job that does not exist: free of charge, and an invalid key is still rejected."""
    subject = "FAL_KEY"
    if settings.fal_key is None:
        return []
    queue = FalQueue(web, settings.fal_queue_url, settings.fal_key.get_secret_value())
    nobody = replace(unseen(str(uuid.uuid4()), now=datetime.now(UTC)), endpoint_id=ENDPOINT)
    try:
        await queue.status(nobody)
    except FalUnreachable:
        return [
            Finding(
                Level.WARN, subject, f"set, but {settings.fal_queue_url} did not answer, so it could not be checked"
            )
        ]
    except FalRejected as error:
        if error.fal_status in {401, 403}:
            advice = "copy it again from https://fal.ai/dashboard/keys"
            return [Finding(Level.FAIL, subject, f"fal rejects it ({error.fal_status}: {error}); {advice}")]
        if error.fal_status not in {404, 422}:
            return [
                Finding(
                    Level.WARN,
                    subject,
                    f"set, but fal answered {error.fal_status}, which does not show whether it is valid",
                )
            ]
    return [Finding(Level.OK, subject, "set, and not rejected by fal")]


async def _public_url(settings: Settings, web: httpx.AsyncClient) -> list[Finding]:
    """Check that fal can deliver to the URL: it needs https, follows no redirects and must reach this server."""
    subject, url = "PUBLIC_URL", settings.public_url
    played = is_loopback(urlsplit(settings.fal_queue_url).hostname or "")
    if url is None:
        if played:
            return [Finding(Level.OK, subject, "not needed: fal is emulated on this machine")]
        return []
    parts = urlsplit(url)
    if not played and not _reachable(parts.hostname or ""):
        return [Finding(Level.FAIL, subject, f"fal cannot reach {url}; use a public address, or a tunnel")]
    if not played and parts.scheme != "https":
        return [Finding(Level.FAIL, subject, f"{url} is not https; others on the network could read the webhooks")]
    try:
        trouble = await _trouble_at(web, url)
    except httpx.HTTPError as error:
        trouble = (
            f"{url} cannot be reached ({type(error).__name__}); is `hookcast serve` running, and the tunnel or proxy?"
        )
    return [
        Finding(Level.FAIL, subject, trouble) if trouble else Finding(Level.OK, subject, f"{url} reaches this server")
    ]


async def _trouble_at(web: httpx.AsyncClient, url: str) -> str | None:
    """Read both paths: Hookcast itself must answer. A GET is not a webhook: it is neither counted nor logged as one."""
    for path, wanted, sign in (("/healthz", 200, '"ok"'), ("/api/webhooks/fal", 405, "method_not_allowed")):
        response = await web.get(url + path)
        if response.is_redirect:
            return f"{url}{path} redirects, and fal does not follow redirects; set the final address"
        if response.status_code != wanted or sign not in response.text:
            return f"{url}{path} answered {response.status_code}, not as Hookcast does; is `hookcast serve` behind it?"
    return None


async def _open_files(_settings: Settings, _web: httpx.AsyncClient) -> list[Finding]:
    limit = raise_open_files()
    if limit < FEW_FILES:
        text = f"{limit}, and each stream takes one; raise it (LimitNOFILE=65536, ulimit -n, --ulimit nofile)"
        return [Finding(Level.WARN, "open files", text)]
    return [Finding(Level.OK, "open files", f"{limit}; each stream takes one")]


def _reachable(host: str) -> bool:
    """Return whether fal could reach this host; any other name with a dot is assumed to be public."""
    if is_loopback(host) or host.endswith((".local", ".localhost", ".internal")):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host

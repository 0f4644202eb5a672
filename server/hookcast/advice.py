"""Warnings about settings that are valid, but likely to surprise."""

import difflib
import re
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from hookcast import postgres_url
from hookcast.postgres_url import PostgresUrl
from hookcast.settings import PREFIX, ClientSettings, Settings, given_names
from hookcast.trust import Trust
from hookcast.urls import is_loopback

# Kubernetes sets these in every pod, after the name of each Service: noise when that name begins with "hookcast".
_OF_SERVICE = re.compile(r"(\w+?)_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")
# Heroku, Render, Railway and others set these.
_OF_PLATFORMS = ("DATABASE_URL", "REDIS_URL", "PORT")
_MEANT = {  # what other programs call it
    **dict.fromkeys(("DB", "DB_URL", "DATABASE_URI", "POSTGRES_URL"), "DATABASE_URL"),
    **dict.fromkeys(("BASE_URL", "WEBHOOK_URL", "EXTERNAL_URL"), "PUBLIC_URL"),
    **dict.fromkeys(("JWT_SECRET", "SECRET_KEY"), "TOKEN_SECRET"),
    **dict.fromkeys(("BIND", "ADDRESS"), "HOST"),
}
_LIKE_FAL_KEY = re.compile(r"FAL_?(AI_?)?(API_?)?(KEY|KEYS|TOKEN|SECRET)(_ID|_SECRET)?")


def warnings(settings: Settings) -> list[str]:
    """Return one sentence for each setting, or missing setting, that is likely to surprise."""
    names = given_names()
    found = unknown_names(names) + _without_prefix(names) + _fal_warnings(settings, names)
    return found + _database_warnings(settings) + _access_warnings(settings) + _media_warnings(settings)


def unknown_names(names: Collection[str]) -> list[str]:
    """Return one sentence for each name that looks like a setting but is not."""
    fields = {**Settings.model_fields, **ClientSettings.model_fields}.keys() - {"metrics_folder"}
    known = sorted(field.upper() for field in fields)
    found = []
    for name in sorted(names):
        rest = name.removeprefix(PREFIX)
        if name.startswith("HOOKCAST") and rest not in known and not _tells_of_service(name, names):
            given = rest.removeprefix("HOOKCAST")
            near = [_MEANT[given]] if given in _MEANT else difflib.get_close_matches(given, known, n=1)
            advice = f"did you mean {PREFIX}{near[0]}?" if near else "see the README for all settings."
            found.append(f"{name} is not a setting of this version and has no effect: {advice}")
    return found


def _tells_of_service(name: str, names: Collection[str]) -> bool:
    found = _OF_SERVICE.fullmatch(name)
    return found is not None and f"{found[1]}_SERVICE_HOST" in names


def _without_prefix(names: Collection[str]) -> list[str]:
    """Return one sentence for each variable that a platform sets without our prefix, so that it has no effect."""
    missed = [name for name in _OF_PLATFORMS if name in names and PREFIX + name not in names]
    return [f"{name} is set but has no effect: Hookcast reads {PREFIX}{name}." for name in missed]


def _fal_warnings(settings: Settings, names: Iterable[str]) -> list[str]:
    found = []
    real = not is_loopback(urlsplit(settings.fal_queue_url).hostname or "")
    if settings.fal_key is None:
        others = [name for name in sorted(names) if name != "FAL_KEY" and _LIKE_FAL_KEY.fullmatch(name)]
        instead = f" (no effect: {', '.join(others)})" if others else ""
        found.append(f"No FAL_KEY is set{instead}: webhooks are accepted, but jobs cannot be submitted or followed.")
    elif real and ":" not in settings.fal_key.get_secret_value():
        found.append("FAL_KEY has no colon: a fal key has two parts, id:secret; copy both.")
    if settings.webhook_url is None:
        found.append(
            f"No {PREFIX}PUBLIC_URL is set: fal cannot send webhooks here. Hookcast polls fal instead, so a job that "
            "nobody watches ends up to a minute late. Set it to this server's public https address."
        )
    return found


def _database_warnings(settings: Settings) -> list[str]:
    url = settings.database_url.get_secret_value()
    if not url.startswith("postgres"):
        given = "database_schema" in settings.model_fields_set
        return [f"{PREFIX}DATABASE_SCHEMA has no effect: a SQLite file has no schemas."] if given else []
    parsed = postgres_url.parse(url)
    return [*_search_path_warnings(settings, parsed), *_channel_warnings(parsed)]


def _search_path_warnings(settings: Settings, parsed: PostgresUrl) -> list[str]:
    if not any("search_path" in f"{name}={value}" for name, value in parsed.settings.items()):
        return []
    warning = (
        f"search_path in {PREFIX}DATABASE_URL does not say where Hookcast's tables are: they are in the schema "
        f"{settings.database_schema}, by {PREFIX}DATABASE_SCHEMA."
    )
    return [warning]


def _channel_warnings(parsed: PostgresUrl) -> list[str]:
    if not parsed.binds_channel or parsed.tls.mode == "verify-full":
        return []
    warning = (
        f"channel_binding=require in {PREFIX}DATABASE_URL is not enforced: the driver does not support channel "
        "binding. Use sslmode=verify-full to authenticate the server."
    )
    return [warning]


def _access_warnings(settings: Settings) -> list[str]:
    if settings.open:
        warning = (
            f"Neither {PREFIX}API_KEYS nor {PREFIX}TOKEN_SECRET is set: anyone who can reach {PREFIX}PUBLIC_URL "
            "can see every job and submit jobs on your fal account."
        )
        return [warning] if settings.exposed else []
    found = [f"{problem}; the server would not start on an address other than loopback" for problem in settings.weak()]
    if not settings.keys:
        found.append(f"No {PREFIX}API_KEYS is set: nobody can submit, register or cancel jobs.")
    if not settings.secrets and settings.token_jwks_url is None:
        found.append(f"No {PREFIX}TOKEN_SECRET is set: browsers cannot watch jobs; API keys are for your backend.")
    found += [warning for trust in settings.providers for warning in _provider_warnings(trust)]
    if set(settings.keys) & set(settings.secrets):
        found.append(f"A secret of {PREFIX}TOKEN_SECRET is also a key in {PREFIX}API_KEYS: generate one for each.")
    if not settings.fal_user_id:
        found.append(
            f"No {PREFIX}FAL_USER_ID is set: webhooks of every fal user are accepted; set it to your own fal user id."
        )
    return found


def _provider_warnings(trust: Trust) -> list[str]:
    insecure = [
        url for url in (trust.jwks_url, *trust.issuers) if url.startswith("http://") and not is_loopback(_host(url))
    ]
    if not insecure:
        return []
    warning = (
        f"{' and '.join(insecure)} in {PREFIX}TOKEN_JWKS_URL and {PREFIX}TOKEN_ISSUER should be https: others on the "
        "network could replace the keys, and sign in as anybody."
    )
    return [warning]


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _media_warnings(settings: Settings) -> list[str]:
    if settings.media_url is None:
        return (
            [f"{PREFIX}MEDIA_PUBLIC_URL has no effect without {PREFIX}MEDIA_URL."] if settings.media_public_url else []
        )
    found = []
    local = settings.media_url.get_secret_value().startswith("file:")
    if local and settings.bus_url is not None:
        found.append(
            f"{PREFIX}MEDIA_URL is a directory, and {PREFIX}REDIS_URL means several nodes: each must see the same "
            "files, on a shared file system, or some links lead nowhere. Else use a bucket."
        )
    if local and not settings.media_public_url and not settings.public_url:
        found.append(
            f"Links to kept files are relative (/media/…) without {PREFIX}PUBLIC_URL: they work only for pages of this "
            "server's own origin, not for your backend or other pages."
        )
    shown = urlsplit(settings.media_public_url or "")
    if shown.scheme == "http" and not is_loopback(shown.hostname or ""):
        found.append(f"{PREFIX}MEDIA_PUBLIC_URL is not https: pages of https sites cannot show these files.")
    return found

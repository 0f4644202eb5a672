"""Warnings about settings that are valid, but likely to surprise."""

import difflib
import re
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from hookcast import postgres_url
from hookcast.settings import PREFIX, ClientSettings, Settings, given_names
from hookcast.urls import is_loopback

# What Kubernetes tells every pod of a Service, after the Service's name: noise when that begins with "hookcast".
_OF_SERVICE = re.compile(r"(\w+?)_(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")
# Heroku, Render, Railway and others set these.
_OF_PLATFORMS = ("DATABASE_URL", "REDIS_URL", "PORT")
_LIKE_FAL_KEY = re.compile(r"FAL_?(AI_?)?(API_?)?(KEY|KEYS|TOKEN|SECRET)(_ID|_SECRET)?")


def warnings(settings: Settings) -> list[str]:
    """Return one sentence for each setting, or missing setting, that is likely to surprise."""
    names = given_names()
    found = unknown_names(names) + _without_prefix(names) + _fal_warnings(settings, names)
    return found + _database_warnings(settings) + _access_warnings(settings)


def unknown_names(names: Collection[str]) -> list[str]:
    """Return one sentence for each name that looks like a setting and is none."""
    fields = {**Settings.model_fields, **ClientSettings.model_fields}.keys() - {"metrics_folder"}
    known = sorted(field.upper() for field in fields)
    found = []
    for name in sorted(names):
        rest = name.removeprefix(PREFIX)
        if name.startswith("HOOKCAST") and rest not in known and not _tells_of_service(name, names):
            near = difflib.get_close_matches(rest.removeprefix("HOOKCAST"), known, n=1)
            advice = f"did you mean {PREFIX}{near[0]}?" if near else "the README lists all settings."
            found.append(f"{name} is no setting of this version and has no effect: {advice}")
    return found


def _tells_of_service(name: str, names: Collection[str]) -> bool:
    found = _OF_SERVICE.fullmatch(name)
    return found is not None and f"{found[1]}_SERVICE_HOST" in names


def _without_prefix(names: Collection[str]) -> list[str]:
    """Return one sentence for each variable that platforms set, and that works only with our prefix."""
    missed = [name for name in _OF_PLATFORMS if name in names and PREFIX + name not in names]
    return [f"{name} is set, and has no effect: Hookcast reads {PREFIX}{name}." for name in missed]


def _fal_warnings(settings: Settings, names: Iterable[str]) -> list[str]:
    found = []
    real = not is_loopback(urlsplit(settings.fal_queue_url).hostname or "")
    if settings.fal_key is None:
        others = [name for name in sorted(names) if name != "FAL_KEY" and _LIKE_FAL_KEY.fullmatch(name)]
        instead = f" ({', '.join(others)} has no effect)" if others else ""
        found.append(f"No FAL_KEY is set{instead}: webhooks are taken, but jobs cannot be submitted or followed.")
    elif real and ":" not in settings.fal_key.get_secret_value():
        found.append("FAL_KEY has no colon: fal's keys have two parts, id:secret; copy both.")
    if settings.webhook_url is None:
        found.append(
            f"No {PREFIX}PUBLIC_URL is set: fal cannot send webhooks here, so it has to be asked whether a job has "
            "ended: up to a minute late when nobody watches it. Set it to this server's public https address."
        )
    return found


def _database_warnings(settings: Settings) -> list[str]:
    url = settings.database_url.get_secret_value()
    parsed = postgres_url.parse(url) if url.startswith("postgres") else None
    if parsed is None or not parsed.binds_channel or parsed.tls.mode == "verify-full":
        return []
    warning = (
        f"channel_binding=require in {PREFIX}DATABASE_URL is not enforced, since the driver cannot bind channels: "
        "sslmode=verify-full makes sure of the server."
    )
    return [warning]


def _access_warnings(settings: Settings) -> list[str]:
    if settings.open:
        warning = (
            f"Neither {PREFIX}API_KEYS nor {PREFIX}TOKEN_SECRET is set: whoever reaches {PREFIX}PUBLIC_URL sees "
            "every job, and submits jobs on your fal account."
        )
        return [warning] if settings.exposed else []
    found = [f"{problem}; on another address than loopback this would refuse the start" for problem in settings.weak()]
    if not settings.keys:
        found.append(f"No {PREFIX}API_KEYS is set: nobody may submit, register or cancel jobs.")
    if not settings.secrets and settings.token_jwks_url is None:
        found.append(f"No {PREFIX}TOKEN_SECRET is set: browsers cannot watch, since API keys are for your backend.")
    if set(settings.keys) & set(settings.secrets):
        found.append(f"A secret of {PREFIX}TOKEN_SECRET is also a key of {PREFIX}API_KEYS: make one anew for each.")
    if not settings.fal_user_id:
        found.append(
            f"No {PREFIX}FAL_USER_ID is set: webhooks of every fal user are taken; set it to your own fal user id."
        )
    return found

"""The doctor's checks of the database: that it answers, accepts writes and is Hookcast's, its free space, its clock."""

import time

from hookcast.cli.findings import Finding, Level, where_of
from hookcast.errors import StoreRefused, StoreUnavailable, Trouble
from hookcast.settings import PREFIX, Settings
from hookcast.store import Condition, inspect, room
from hookcast.store.revision import Schema

FEW_BYTES = 200_000_000
_CURES = {
    Trouble.DISK_FULL: "Make room",
    Trouble.READ_ONLY: "Use the primary, or mount the file system for writing",
    Trouble.BUSY: "Check what else uses it",
}
REFUSED = 2  # exit code: `hookcast serve` does not start with this
NODE_SKEW_SECONDS = 2.0  # between this machine and the database


async def look(settings: Settings) -> list[Finding]:
    """Return the findings about the database and its clock."""
    url = settings.database_url.get_secret_value()
    where, free = _where(settings, url), room(url)
    disk = "" if free is None else f"; {_size(free)} free on its disk"
    before = time.time()
    try:
        condition = await inspect(url, settings.database_schema)
    except StoreRefused as error:
        return [Finding(Level.FAIL, "database", f"{where}: {error.reason}", REFUSED)]
    except StoreUnavailable as error:
        cure = _CURES.get(error.trouble, f"Check {PREFIX}DATABASE_URL, and that the database runs")
        return [Finding(Level.FAIL, "database", f"{where}: {error.reason} {cure}{disk}")]
    level, text = _state(condition, where)
    if level is Level.OK and free is not None and free < FEW_BYTES:
        level = Level.WARN
    return [Finding(level, "database", text + disk, REFUSED), *_database_clock(condition.clock, before, time.time())]


def _where(settings: Settings, url: str) -> str:
    schema = f", schema {settings.database_schema}" if url.startswith("postgres") else ""
    return where_of(url) + schema


def _state(condition: Condition, where: str) -> tuple[Level, str]:
    if condition.others:
        remedy = f"give Hookcast a file of its own with {PREFIX}DATABASE_URL"
        if where.startswith("postgres"):
            remedy = f"give Hookcast a schema of its own with {PREFIX}DATABASE_SCHEMA: it takes it from all other users"
        return Level.WARN, f"{where} has none of Hookcast's tables, but {condition.others}; {remedy}"
    if condition.earlier is not None and condition.schema is Schema.NONE:
        moves = f"`hookcast serve` or `migrate` moves its tables there from the schema {condition.earlier}"
        return Level.WARN, f"{where} is empty; {moves}"
    if condition.earlier is not None:
        remedy = "stop the nodes that use them, and remove them"
        return Level.WARN, f"{condition.earlier} has tables of an earlier version, beside {where}; {remedy}"
    return {
        Schema.NONE: (Level.WARN, f"{where} is empty; `hookcast serve` or `migrate` creates its tables"),
        Schema.OLD: (Level.WARN, f"{where} has an older schema; run `hookcast migrate`"),
        Schema.NEWER: (Level.FAIL, f"{where} has the schema of a newer version; update Hookcast"),
        Schema.CURRENT: (Level.OK, f"{where} accepts writes and is up to date"),
    }[condition.schema]


def _size(count: int) -> str:
    unit, name = next(((unit, name) for unit, name in ((10**9, "GB"), (10**6, "MB")) if count >= unit), (1000, "kB"))
    return f"{count / unit:.1f} {name}"


def _database_clock(clock: float | None, before: float, after: float) -> list[Finding]:
    """Report only the skew that the duration of the query cannot explain."""
    if clock is None:
        return []
    skew = max(before - clock, clock - after, 0.0)
    if skew <= NODE_SKEW_SECONDS:
        return [Finding(Level.OK, "clocks", "this machine and the database agree")]
    return [Finding(Level.WARN, "clocks", f"the database's clock is {skew:.0f} s off this machine's; run NTP on both")]

"""The doctor's check of the storage of kept files: it writes, lists, reads and deletes a small file, as copies do."""

import asyncio
import re
import threading
from collections.abc import Callable

from hookcast.cli.findings import Finding, Level
from hookcast.media.failures import StorageFailed
from hookcast.media.storage import open_storage
from hookcast.settings import PREFIX, Settings, export_cloud_variables

SUBJECT = "media"
REFUSED = 2  # exit code: `hookcast serve` does not start with this
# The first that matches says what to do. The words are those of S3 and its kin, of obstore, and of the system.
_CURES = (
    (
        r"169\.254\.16\d\.\d|metadata|NoCredentials|token request",
        "No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of Google or Azure",
    ),
    (
        r"InvalidHeaderValue",
        "A variable with credentials or the region contains a control character, perhaps a line's end: set it again",
    ),
    (r"NoSuchBucket|ContainerNotFound|bucket does not exist", "Check the bucket's name, the endpoint and the region"),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|without LOCATION|AuthorizationQuery",
        "Set the bucket's own region: ?region=… in the URL, or AWS_REGION",
    ),
    (r"RequestTimeTooSkewed|RequestExpired", "This machine's clock is wrong: run NTP"),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|AuthenticationFailed|Unauthorized|\b401\b",
        "The storage does not know these credentials: copy both parts again, and check that they are the endpoint's",
    ),
    (
        r"AccessDenied|AuthorizationPermissionMismatch|privileges|\b403\b",
        "Allow this key to get, put, delete and list: docs/media.md has the policies",
    ),
    (
        r"error sending request|refused|getaddrinfo|Name or service|resolve|timed out|certificate|unreachable|SSL",
        "Check the endpoint: its scheme, name and port, and this machine's outgoing connections",
    ),
    (r"Permission denied|not permitted", "Let the server's user write there"),
    (r"Read-only file system", f"Mount it for writing; in a container or a sandbox, {PREFIX}MEDIA_URL names a volume"),
    (r"No space left|quota", "Make room"),
    (r"Not a directory|No such file", "Name a directory that exists, or whose parent does"),
)


async def look(settings: Settings) -> list[Finding]:
    """Return the finding about the storage; what hangs is left behind."""
    if settings.media_url is None:
        return [Finding(Level.OK, SUBJECT, f"not kept: {PREFIX}MEDIA_URL is not set")]
    export_cloud_variables()
    url = settings.media_url.get_secret_value()
    where = url.partition("?")[0]
    try:
        storage = open_storage(url, settings.media_public_url)
    except ValueError as error:
        return [Finding(Level.FAIL, SUBJECT, f"{PREFIX}MEDIA_URL: {error}", REFUSED)]
    try:
        await _aside(storage.probe)
    except StorageFailed as error:
        return [Finding(Level.FAIL, SUBJECT, f"{where}: {str(error).rstrip('.')}. {cure(str(error))}")]
    return [Finding(Level.OK, SUBJECT, f"{where} takes, lists, returns and deletes files")]


def cure(reason: str) -> str:
    """Return what to do about the error of a storage."""
    found = (words for pattern, words in _CURES if re.search(pattern, reason, re.IGNORECASE))
    return next(found, f"Check {PREFIX}MEDIA_URL and the credentials: docs/media.md")


async def _aside(work: Callable[[], None]) -> None:
    """Run blocking work in a thread that does not keep the process alive. Raises what the work does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if not done.done():
            done.set_result(None) if error is None else done.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - raised to the caller
            error = raised
        loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, daemon=True).start()
    await done

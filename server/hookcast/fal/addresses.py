"""fal's URLs of one request: those in the submit response, or built where one is missing; pure.

fal documents both `…/requests/{id}` and `…/requests/{id}/response` for the result; its other URLs are below the former.
"""

from urllib.parse import quote

import httpx
from msgspec import Struct

from hookcast.errors import EndpointUnknown
from hookcast.fal.endpoints import app_id
from hookcast.jobs import Job

MAX_URL_LENGTH = 2000
_RESPONSE, _STATUS, _CANCEL, _STREAM = "/response", "/status", "/cancel", "/stream"


class Addresses(Struct, frozen=True):
    """The URLs to send requests about one job to. `status` and `stream` ask for the log, too."""

    result: str
    status: str
    stream: str
    cancel: str


def addresses_of(job: Job, base: str) -> Addresses:
    """Return the job's URLs at the queue at `base`.

    URLs from the submit response are used as they are, but only on the host that is given our key. Raises
    EndpointUnknown when there are none and none can be built.
    """
    response, status, cancel = (_own(url, base) for url in (job.response_url, job.status_url, job.cancel_url))
    root = (
        (response and _without(response, _RESPONSE, response))
        or (status and _without(status, _STATUS))
        or (cancel and _without(cancel, _CANCEL))
        or _built(job, base)
    )
    status = status or _below(root, _STATUS)
    return Addresses(
        result=response or root,
        status=_with_logs(status),
        stream=_with_logs(_below(status, _STREAM)),
        cancel=cancel or _below(root, _CANCEL),
    )


def without_logs(url: str) -> str:
    """Return the URL of a status that does not ask for the log."""
    return _with_logs(url, "0")


def _built(job: Job, base: str) -> str:
    try:
        app = app_id(job.endpoint_id or "")
    except ValueError:
        raise EndpointUnknown from None
    return f"{base}/{quote(app)}/requests/{quote(job.request_id, safe='')}"


def _own(url: str | None, base: str) -> str | None:
    """Return `url` without credentials and fragment when it is below `base`, else None."""
    if not url or len(url) > MAX_URL_LENGTH:
        return None
    try:
        found, wanted = httpx.URL(url), httpx.URL(base)
    except httpx.InvalidURL:
        return None
    below = found.path.startswith(f"{wanted.path.rstrip('/')}/")
    own = (found.scheme, found.netloc) == (wanted.scheme, wanted.netloc) and below
    return str(found.copy_with(username="", password="", fragment=None)) if own else None


def _without(url: str, suffix: str, default: str = "") -> str:
    """Return the URL without `suffix` at the end of its path; `default` when it ends otherwise."""
    path, mark, query = url.partition("?")
    path = path.rstrip("/")
    return path.removesuffix(suffix) + mark + query if path.endswith(suffix) else default


def _below(url: str, suffix: str) -> str:
    path, mark, query = url.partition("?")
    return path.rstrip("/") + suffix + mark + query


def _with_logs(url: str, value: str = "1") -> str:
    path, _, query = url.partition("?")
    others = [part for part in query.split("&") if part and part.partition("=")[0] != "logs"]
    return f"{path}?{'&'.join([*others, f'logs={value}'])}"

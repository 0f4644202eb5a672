"""POST /api/fal-jobs: check the rate, read the submission, return the job and a token that shows it."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from hookcast.auth import Action, Caller, Grant
from hookcast.errors import BodyTooLarge, HookcastError, InvalidRequest, RateLimited
from hookcast.fal.endpoints import app_id
from hookcast.jobs import Registered
from hookcast.labels import Label
from hookcast.problems import json_response
from hookcast.routes.credentials import authorize
from hookcast.routes.requests import read_json
from hookcast.routes.services import Services, services
from hookcast.routes.tokens import issue
from hookcast.submitter import Submitted, Wish

MAX_FACTS_BYTES = 256 * 1024  # of a body without its `input`
TOKEN_SPARE_SECONDS = 600  # past the job's timeout, to read the result
HeaderText = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+(?!\n)$")]
_ENDPOINT = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class Options(Struct, rename="camel", forbid_unknown_fields=True):
    """fal's platform headers, by name."""

    priority: Literal["normal", "low"] | None = None
    start_timeout_seconds: Annotated[float, Meta(gt=0)] | None = None
    runner_hint: HeaderText | None = None
    no_retry: bool | None = None
    store_io: bool | None = None
    object_lifecycle: dict[HeaderText, int | None] | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that are set (fal documentation, "Queue API", "Platform headers")."""
        values = {
            "X-Fal-Queue-Priority": self.priority,
            "X-Fal-Request-Timeout": None if self.start_timeout_seconds is None else f"{self.start_timeout_seconds:g}",
            "X-Fal-Runner-Hint": self.runner_hint,
            "X-Fal-No-Retry": _flag(self.no_retry),
            "X-Fal-Store-IO": _flag(self.store_io),
            "X-Fal-Object-Lifecycle-Preference": (
                None if self.object_lifecycle is None else msgspec.json.encode(self.object_lifecycle).decode()
            ),
        }
        return {name: value for name, value in values.items() if value is not None}


class Facts(Struct, rename="camel", forbid_unknown_fields=True):
    """The body of PUT, and the part of POST that it shares."""

    endpoint_id: Annotated[str, Meta(max_length=300)] | None = None
    owner: Label | None = None
    group: Label | None = None
    metadata: dict[str, Raw] = {}
    keep: bool | None = None

    def __post_init__(self) -> None:
        if self.endpoint_id is not None:
            check_endpoint(self.endpoint_id)

    def registered(self) -> Registered:
        """Return the facts as an update of the job."""
        return Registered(
            endpoint_id=self.endpoint_id,
            owner=self.owner,
            group=self.group,
            metadata=_copied(self.metadata),
            keep=self.keep,
        )


class Submission(Facts, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The body of POST: a job to submit to fal's queue."""

    input: Raw
    options: Options = msgspec.field(default_factory=Options)


def check_endpoint(endpoint_id: str) -> None:
    """Raise ValueError unless `endpoint_id` has the form of a fal endpoint."""
    if not _ENDPOINT.fullmatch(endpoint_id):
        raise ValueError("endpointId must look like owner/app or owner/app/path")
    app_id(endpoint_id)


async def submit(request: Request) -> Response:
    """Handle POST /api/fal-jobs: submit a job to fal's queue."""
    node = services(request)
    with counting(node):
        return await _submitted(node, request)


@contextmanager
def counting(node: Services) -> Iterator[None]:
    """Count a submit in the metrics, by its answer."""
    try:
        yield
    except HookcastError as error:
        node.metrics.submit(error.code)
        raise
    node.metrics.submit("accepted")


async def _submitted(node: Services, request: Request) -> Response:
    caller = await authorize(request, Action.SUBMIT)
    check_rate(node, caller)
    submission = await read_json(request, Submission, node.settings.max_webhook_bytes)
    if submission.endpoint_id is None:
        raise InvalidRequest("endpointId is missing.")
    if not bytes(submission.input).startswith(b"{"):
        raise InvalidRequest("input must be an object: the model's own input.")
    wish = Wish(
        endpoint_id=submission.endpoint_id,
        input=submission.input,
        headers=submission.options.headers(),
        facts=submission.registered(),
        caller=caller.who,
    )
    _check_small(wish)
    key, again = idempotency(request)
    if again and key is None:
        raise InvalidRequest("Idempotency-Retry belongs to the Idempotency-Key of the first request.")
    return accepted(node, await node.submitter.submit(wish, key, again=again), caller)


def idempotency(request: Request) -> tuple[str | None, bool]:
    """Return the request's idempotency key, and whether to submit again although the first outcome is unknown."""
    key, retry = request.headers.get("idempotency-key"), request.headers.get("idempotency-retry")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key must have 1 to 255 visible ASCII characters.")
    if retry not in {None, "yes"}:
        raise InvalidRequest("Idempotency-Retry must be `yes`, or left out.")
    return key, retry is not None


def _check_small(wish: Wish) -> None:
    """Raise BodyTooLarge unless everything besides the input is as small as the body of PUT must be."""
    labels = sum(len(name.encode()) + len(bytes(value)) for name, value in wish.facts.metadata.items())
    size = labels + sum(map(len, wish.headers.values()))
    if size > MAX_FACTS_BYTES:
        raise BodyTooLarge(f"metadata and options have {size} bytes; at most {MAX_FACTS_BYTES} are accepted.")


def check_rate(node: Services, caller: Caller) -> None:
    """Raise RateLimited if the caller exceeds its rate of submits; refused ones do not count."""
    wait = 0.0 if node.submitting is None else node.submitting.take(caller.who)
    if wait:
        text = f"This caller may submit {node.settings.submits_per_minute} jobs per minute."
        raise RateLimited(text, retry_after=math.ceil(wait))


def accepted(node: Services, submitted: Submitted, caller: Caller) -> Response:
    """Return the job, and a token that shows it until TOKEN_SPARE_SECONDS past its timeout, or the caller's end."""
    job, state = submitted
    path = f"/api/fal-jobs/{quote(job.request_id, safe='')}"  # a header is ASCII, and the id may contain "?"
    seconds = node.settings.job_timeout_seconds + TOKEN_SPARE_SECONDS
    if caller.expires_at is not None:
        seconds = min(seconds, caller.expires_at - node.clock().timestamp())
    body = {
        "requestId": job.request_id,
        "status": job.status,
        "job": Raw((state or node.engine.show(job)).body),
        **issue(node, Grant(jobs=frozenset({job.request_id})), timedelta(seconds=seconds)),
        "links": {"status": path, "events": f"{path}/events", "cancel": f"{path}/cancel"},
    }
    return json_response(body, 202, {"Location": path})


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(int(value))


def _copied(labels: Mapping[str, Raw]) -> dict[str, Raw]:
    return {name: Raw(bytes(value)) for name, value in labels.items()}

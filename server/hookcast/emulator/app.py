"""The emulator as a Starlette application: fal's routes and responses."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import msgspec
from msgspec.structs import replace
from nacl.signing import SigningKey
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from hookcast.emulator.content import IMAGE, MEDIA_FOLDER, SAMPLES
from hookcast.emulator.faults import Fault, InputRefused, ModelInput, read_input
from hookcast.emulator.hosting import HEADERS, answer
from hookcast.emulator.play import Emulator
from hookcast.emulator.queue import CancelAnswer, Job, Phase, UnknownJob
from hookcast.emulator.results import binary_result, outcome, status_body, urls
from hookcast.emulator.streams import status_stream
from hookcast.emulator.webhooks import Keys, Sleep
from hookcast.errors import BodyTimeout, BodyTooLarge, HookcastError
from hookcast.fal.endpoints import app_id

MAX_BODY_BYTES = 64 * 1024 * 1024
BODY_DEADLINE_SECONDS = 60.0
WEBHOOK_FIRST_SECONDS = 5.0
CANCEL_STATUS = {CancelAnswer.REQUESTED: 202, CancelAnswer.REMOVED: 200, CancelAnswer.ALREADY_COMPLETED: 400}
TRUE = frozenset({"1", "true", "yes"})


def create_emulator(
    *,
    speed: float = 1.0,
    signing_key: SigningKey | None = None,
    webhook_transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
    now: Callable[[], float] = time.time,
) -> Starlette:
    """Create an ASGI application that emulates fal's queue; the server must run its lifespan, as uvicorn does.

    `speed` divides every duration of a job and every pause between webhooks. For tests: the Ed25519 `signing_key`, the
    `webhook_transport`, the `sleep` between webhooks and pieces of slow files, and `now` (unix seconds), the clock of
    the signatures.

    Raises SettingsError when the environment's CAs fail.
    """
    emulator = Emulator(speed=speed, keys=Keys.make(signing_key), sleep=sleep)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with emulator.running(transport=webhook_transport, now=now):
            yield

    app = Starlette(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers={
            HookcastError: _refused,
            HTTPException: _http_error,
            UnknownJob: _unknown_job,
            ClientDisconnect: _gone,
        },
    )
    app.state.emulator = emulator
    return app


def begin_shutdown(app: Starlette) -> None:
    """End the open status streams: servers wait for them before the lifespan ends. Call in the event loop's thread."""
    _of(app).close()


def _routes() -> list[Route]:
    job = "/{app:path}/requests/{request_id}"
    return [
        Route("/.well-known/jwks.json", _jwks),
        Route("/media/{name}", _sample),
        Route("/media/{request_id}/{place:int}/{name}", _file),
        Route(f"{job}/status/stream", _stream),
        Route(f"{job}/status", _status),
        Route(f"{job}/cancel", _cancel, methods=["PUT"]),
        Route(f"{job}/response", _result),
        Route(job, _result),
        Route("/{endpoint:path}", _submit, methods=["POST"]),
    ]


async def _submit(request: Request) -> Response:
    _authorize(request)
    emulator = _of(request.app)
    endpoint = request.path_params["endpoint"].strip("/")
    body = await _body(request)
    model_input = read_input(body)
    if model_input.wishes.once and not emulator.first(body):
        model_input = replace(model_input, wishes=replace(model_input.wishes, faults=frozenset()))
    job = _new_job(request, emulator, endpoint, model_input)
    emulator.start(job)
    if Fault.WEBHOOK_FIRST in model_input.wishes.faults:
        await _wait_for_webhook(job)
    taken = {
        "status": Phase.IN_QUEUE,
        "request_id": job.request_id,
        **urls(job),
        "queue_position": job.moment(job.submitted).queue_position or 0,
    }
    return _json(taken, job=job)


def _new_job(request: Request, emulator: Emulator, endpoint: str, model_input: ModelInput) -> Job:
    try:
        app = app_id(endpoint)
    except ValueError:
        raise HTTPException(404, f"Application {endpoint!r} not found") from None
    job = Job(
        request_id=str(uuid.uuid4()),
        endpoint_id=endpoint,
        app_id=app,
        base_url=str(request.base_url),
        webhook_url=request.query_params.get("fal_webhook") or None,
        prompt=model_input.prompt,
        wishes=model_input.wishes,
        speed=model_input.wishes.speed or emulator.speed,
        submitted=asyncio.get_running_loop().time(),
        submitted_at=time.time(),
    )
    if Fault.WEBHOOK_FIRST in model_input.wishes.faults:
        job.ends = 0.0
    return job


async def _wait_for_webhook(job: Job) -> None:
    try:
        async with asyncio.timeout(WEBHOOK_FIRST_SECONDS):
            await job.first_attempt.wait()
    except TimeoutError:
        pass  # a hanging webhook receiver must not hang the submit


async def _status(request: Request) -> Response:
    job = _job(request)
    now = job.moment(asyncio.get_running_loop().time())
    body = status_body(job, now, with_logs=_with_logs(request))
    return _json(body, 200 if now.phase is Phase.COMPLETED else 202, job=job)


async def _stream(request: Request) -> Response:
    job, emulator = _job(request), _of(request.app)
    if Fault.NO_STREAM in job.wishes.faults:
        raise HTTPException(405, "Method Not Allowed")
    frames = status_stream(job, lambda: emulator.closing, with_logs=_with_logs(request))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **_request_id(job)}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


async def _result(request: Request) -> Response:
    job = _job(request)
    if job.moment(asyncio.get_running_loop().time()).phase is not Phase.COMPLETED:
        return _json({"detail": "Request is still in progress"}, 400, job=job)
    if (found := binary_result(job)) is not None:
        return Response(found, media_type=IMAGE, headers=_request_id(job))
    ended = outcome(job)
    response = _json(ended.body, ended.http_status, job=job)
    if "error_type" in ended.body and ended.error_type is not None:
        response.headers["X-Fal-Error-Type"] = ended.error_type
    return response


async def _cancel(request: Request) -> Response:
    try:
        job = _job(request)
    except UnknownJob:
        return _json({"status": "NOT_FOUND"}, 404)
    answer = job.cancel(asyncio.get_running_loop().time())
    return _json({"status": answer}, CANCEL_STATUS[answer], job=job)


async def _jwks(request: Request) -> Response:
    return _json(_of(request.app).keys.jwks())


async def _sample(request: Request) -> Response:
    name = request.path_params["name"]
    for content_type, known in SAMPLES.items():
        if name == known:
            return FileResponse(MEDIA_FOLDER / name, media_type=content_type, headers=HEADERS)
    raise HTTPException(404, "There is no such file.")


async def _file(request: Request) -> Response:
    path, emulator = request.path_params, _of(request.app)
    job = emulator.jobs.find(path["request_id"])
    return answer(request, job, path["place"], clock=asyncio.get_running_loop().time(), sleep=emulator.sleep)


def _of(app: Starlette) -> Emulator:
    emulator: Emulator = app.state.emulator
    return emulator


def _job(request: Request) -> Job:
    """Return the job of the path. Raises UnknownJob, and HTTPException (401) without a key."""
    _authorize(request)
    path = request.path_params
    job = _of(request.app).jobs.get(path["app"], path["request_id"])
    if Fault.UNKNOWN_REQUEST in job.wishes.faults:
        raise UnknownJob(job.request_id)
    return job


def _authorize(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "key" or not key.strip():
        raise HTTPException(401, "Authentication is required: send the header 'Authorization: Key <any text>'.")


def _with_logs(request: Request) -> bool:
    return request.query_params.get("logs", "").lower() in TRUE


async def _body(request: Request) -> bytes:
    """Read the whole body. Raises BodyTooLarge and BodyTimeout."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_DEADLINE_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"The input is longer than {MAX_BODY_BYTES} bytes.")
    except TimeoutError:
        raise BodyTimeout("The input did not arrive in time.") from None
    return bytes(body)


def _json(body: object, status: int = 200, *, job: Job | None = None) -> Response:
    headers = _request_id(job) if job is not None else None
    content = msgspec.json.encode(body)
    return Response(content, status, headers=headers, media_type="application/json")


def _request_id(job: Job) -> dict[str, str]:
    return {"x-fal-request-id": job.request_id}


async def _refused(_: Request, error: Exception) -> Response:
    detail = error.detail if isinstance(error, InputRefused) else str(error)
    return _json({"detail": detail}, error.status if isinstance(error, HookcastError) else 500)


async def _http_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _json({"detail": error.detail}, error.status_code)
    return _json({"detail": "Internal Server Error"}, 500)


async def _unknown_job(_: Request, __: Exception) -> Response:
    return _json({"detail": "Request not found"}, 404)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # the client has disconnected

"""The same service as a careful user would write it: FastAPI, SQLAlchemy, sse-starlette.

A webhook is verified with fal's keys; its job's row is locked, changed and committed; then this process's subscribers
are notified. States are in the database, streams begin with the newest one. No batching, no shared frames.
Environment: HOOKCAST_DATABASE_URL and HOOKCAST_FAL_JWKS_URL, as for Hookcast itself.
"""

import asyncio
import base64
import hashlib
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from pydantic import BaseModel
from sqlalchemy import JSON, event, make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sse_starlette import EventSourceResponse

URL = make_url(os.environ["HOOKCAST_DATABASE_URL"])
SQLITE = URL.get_backend_name() == "sqlite"
engine = create_async_engine(
    URL.set(drivername="sqlite+aiosqlite" if SQLITE else "postgresql+asyncpg"), pool_size=20, max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
one_writer = asyncio.Lock()  # SQLite allows one writer, and its busy handler polls
queues: defaultdict[str, set[asyncio.Queue["JobOut"]]] = defaultdict(set)
keys: list[VerifyKey] = []


class Base(DeclarativeBase):
    """Base class of the tables."""


class Job(Base):
    """One job of fal."""

    __tablename__ = "jobs"
    request_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(default="pending")
    version: Mapped[int] = mapped_column(default=1)
    result: Mapped[Any] = mapped_column(JSON, default=None, nullable=True)
    error: Mapped[str | None] = mapped_column(default=None)
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))
    completed_at: Mapped[datetime | None] = mapped_column(default=None)


class JobOut(BaseModel):
    """A job as clients see it."""

    model_config = {"from_attributes": True}
    request_id: str
    status: str
    version: int
    result: Any
    error: str | None
    created_at: datetime
    completed_at: datetime | None


class Webhook(BaseModel):
    """The body of fal's webhook."""

    request_id: str
    status: str
    payload: Any = None
    error: str | None = None


@event.listens_for(engine.sync_engine, "connect")
def on_connect(connection: Any, _record: object) -> None:
    """Make SQLite as durable as Hookcast's."""
    if SQLITE:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=4000"):
            connection.execute(f"PRAGMA {pragma}")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Create the tables, and fetch fal's keys."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with httpx.AsyncClient() as client:
        document = (await client.get(os.environ["HOOKCAST_FAL_JWKS_URL"])).json()
    keys.extend(VerifyKey(base64.urlsafe_b64decode(key["x"] + "==")) for key in document["keys"])
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def verified(
    request: Request,
    x_fal_webhook_request_id: Annotated[str, Header()],
    x_fal_webhook_user_id: Annotated[str, Header()],
    x_fal_webhook_timestamp: Annotated[int, Header()],
    x_fal_webhook_signature: Annotated[str, Header()],
) -> Webhook:
    """Return the webhook if one of fal's keys signed it. Raises HTTPException (401)."""
    body = await request.body()
    if abs(time.time() - x_fal_webhook_timestamp) > 300:
        raise HTTPException(401, "too old")
    digest = hashlib.sha256(body).hexdigest()
    lines = (x_fal_webhook_request_id, x_fal_webhook_user_id, str(x_fal_webhook_timestamp), digest)
    for key in keys:
        try:
            key.verify("\n".join(lines).encode(), bytes.fromhex(x_fal_webhook_signature))
            return Webhook.model_validate_json(body)
        except (BadSignatureError, ValueError):
            continue
    raise HTTPException(401, "not signed by fal")


@asynccontextmanager
async def writing() -> AsyncIterator[AsyncSession]:
    """Open a transaction."""
    async with AsyncExitStack() as stack:
        if SQLITE:
            await stack.enter_async_context(one_writer)
        yield await stack.enter_async_context(sessions.begin())


@app.post("/api/webhooks/fal")
async def webhook(report: Annotated[Webhook, Depends(verified)]) -> dict[str, str]:
    """Commit the result, then notify subscribers."""
    async with writing() as session:
        job = await session.get(Job, report.request_id, with_for_update=True)
        if job is None:
            job = Job(request_id=report.request_id, version=0)
            session.add(job)
        elif job.status != "pending":
            return {"status": "duplicate"}
        job.status = "completed" if report.status == "OK" else "failed"
        job.version += 1
        job.result, job.error = report.payload, report.error
        job.completed_at = datetime.now(UTC).replace(tzinfo=None)
    out = JobOut.model_validate(job)
    for queue in queues.get(job.request_id, ()):
        queue.put_nowait(out)
    return {"status": "accepted"}


@app.put("/api/fal-jobs/{request_id}", status_code=201)
async def register(request_id: str) -> JobOut:
    """Register a submitted job."""
    async with writing() as session:
        job = await session.get(Job, request_id)
        if job is None:
            job = Job(request_id=request_id)
            session.add(job)
    return JobOut.model_validate(job)


@app.get("/api/fal-jobs/{request_id}", response_model=JobOut)
async def poll(request_id: str, response: Response, if_none_match: Annotated[str | None, Header()] = None) -> Any:
    """Return the job, or 304."""
    async with sessions() as session:
        job = await session.get(Job, request_id)
    if job is None:
        raise HTTPException(404, "unknown job")
    tag = f'"{job.version}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return job


@app.get("/api/fal-jobs/{request_id}/events")
async def events(request_id: str) -> EventSourceResponse:
    """Stream the states of one job until it ends."""

    async def stream() -> AsyncIterator[dict[str, str | int]]:
        queue: asyncio.Queue[JobOut] = asyncio.Queue()
        queues[request_id].add(queue)
        try:
            yield {"retry": 2000}
            async with sessions() as session:
                job = await session.get(Job, request_id)
            state = await queue.get() if job is None else JobOut.model_validate(job)
            while True:
                yield {"id": str(state.version), "event": "job", "data": state.model_dump_json()}
                if state.status != "pending":
                    return
                state = await queue.get()
        finally:
            queues[request_id].discard(queue)
            if not queues[request_id]:
                del queues[request_id]

    return EventSourceResponse(stream())

"""SSE endpoints: streams of one job, or of many jobs and feeds (WHATWG HTML, section 9.2)."""

import time
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hookcast.errors import InvalidRequest, JobNotFound
from hookcast.jobs import valid_request_id
from hookcast.push import Names, SseStream
from hookcast.push.handover import play_events, take
from hookcast.push.messages import MAX_NAMES
from hookcast.push.topics import NO_NAMES
from hookcast.routes.access_log import log_opened
from hookcast.routes.addresses import holders_of
from hookcast.routes.credentials import caller_of, noting_refusals
from hookcast.routes.entry import head_lines
from hookcast.routes.requests import check_label, flag, header, moment, parameter, request_id_of
from hookcast.routes.services import services
from hookcast.wire import END_ID

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
)
# The body ends with the connection, without chunks (RFC 9112 section 6.3), so that a state is the same bytes on every
# stream, including those of HTTP/1.0 proxies.
HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in HEADERS) + b"connection: close\r\ndate: "


class Events:
    """ASGI endpoints GET /api/fal-jobs/{requestId}/events and GET /api/fal-jobs/events?requestId=…&group=…&owner=…."""

    def __init__(self, kind: Literal["one", "many"]) -> None:
        self._names = _one if kind == "one" else _many

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Subscribe, read the states, then respond: a failed read is a problem document, not a broken stream."""
        request = Request(scope, receive)
        asked, since = self._names(request), moment(request, "since")
        if since is not None and not asked.everything:
            raise InvalidRequest("since goes with ?all=1: other streams begin with the current states.")
        with noting_refusals(request, asked.jobs, "sse"):
            await self._answer(request, asked, since, send)

    @staticmethod
    async def _answer(request: Request, asked: Names, since: datetime | None, send: Send) -> None:
        scope, receive = request.scope, request.receive
        caller = await caller_of(request, in_url=True)
        last = header(request, b"last-event-id") or parameter(request, "lastEventId")
        if last == END_ID:
            return await Response(status_code=204)(scope, receive, send)
        engine = services(request).engine
        if scope["method"] == "HEAD":
            if await engine.subscriptions.permitted(caller, asked) == NO_NAMES:
                raise JobNotFound(*asked.jobs, *asked.feeds)
            return await send_head(scope, receive, send)
        stream = SseStream(engine, caller)
        with engine.admission.opening(stream, holders_of(request, caller)):
            await stream.join(asked, since=since)
            log_opened(scope, stream, engine.admission, 200)
            transport = take(scope, stream)
            if transport is not None:
                more = b"".join(b"%b: %b\r\n" % line for line in head_lines(scope))
                head = b"%b%b\r\n%b\r\n" % (HEAD, _date(int(time.time())), more)
                return stream.begin(transport, head)
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            return await play_events(stream, receive, send)


async def send_head(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to HEAD: a stream's headers, without a Content-Length, which is unknown (RFC 9110 section 8.6)."""
    answer = Response(headers={name.decode(): value.decode() for name, value in HEADERS})
    del answer.headers["content-length"]
    await answer(scope, receive, send)


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    """Return the Date header (RFC 9110 section 6.6.1), formatted once per second."""
    return formatdate(seconds, usegmt=True).encode()


def _one(request: Request) -> Names:
    return Names(jobs=(request_id_of(request),))


def _many(request: Request) -> Names:
    given = ("requestId", "group", "owner")
    jobs, groups, owners = (tuple(dict.fromkeys(request.query_params.getlist(key))) for key in given)
    names = Names(jobs, groups, owners, flag(request, "all"))
    if not 0 < names.size <= MAX_NAMES:
        raise InvalidRequest(
            f"Name 1 to {MAX_NAMES} jobs, groups and owners: ?requestId=a&requestId=b&group=g&owner=o; or ?all=1."
        )
    if not all(map(valid_request_id, jobs)):
        raise InvalidRequest("A requestId has 1 to 200 printable characters and no '..'.")
    for name, labels in (("group", groups), ("owner", owners)):
        for label in labels:
            check_label(name, label)
    return names

"""The operations that stream states; pure."""

from hookcast import errors
from hookcast.errors import HookcastError
from hookcast.push.messages import MAX_NAMES
from hookcast.routes.openapi.parts import LABEL, OF_JOB, ONE, REQUEST_ID, TEXT, Json, operation, parameter, repeated

_STREAM = (
    "Server-sent events (WHATWG HTML, section 9.2). `retry:` and one `job` event for each known job at once, then one "
    "for every newer state: `id` is the version, `data` the state as JSON in one line. `: ping` ends a silence, "
    "after `: waiting` while states wait for the database. When all jobs have ended and no feed is named, `event: end` "
    "with `id: end` comes and the stream is closed."
)
_SOCKET = (
    "WebSocket (RFC 6455), subprotocol `hookcast.v1`, text frames with one JSON object each. The client sends "
    '`{"type":"subscribe","requestIds":[…],"groups":[…],"owners":[…],"all":true}` and `unsubscribe`; the server sends '
    "`subscribed`, `job`, `ping`, `reconnect` and `error`. Close codes 4000 to 4499: reconnect, 4500 to 4999: not "
    "without a change."
)
_NAMES: Json = {"requestId": REQUEST_ID, "group": LABEL, "owner": LABEL}
_EVERYTHING = [
    parameter("all", {"type": "string", "enum": ["0", "1", "false", "true"]}, text="1 = all jobs; needs an API key."),
    parameter(
        "since", {"type": "string", "format": "date-time"}, text="With `all`: begin with the jobs written since."
    ),
]
_NO_ROOM = (errors.TooManyStreams, errors.Draining, errors.TooManyStreamsOfClient)


def stream_paths() -> Json:
    """Return the operations that stream states, by path."""
    return {
        f"{ONE}/events": {**OF_JOB, "get": _events("The stream of one job", [], errors.BadPath)},
        "/api/fal-jobs/events": {
            "get": _events(
                f"The stream of 1 to {MAX_NAMES} jobs, groups and owners, or of everything",
                [*(repeated(name, shape) for name, shape in _NAMES.items()), *_EVERYTHING],
                errors.InvalidRequest,
            )
        },
        "/api/fal-jobs/ws": {"get": _socket()},
    }


def _events(summary: str, names: list[Json], wrong: type[HookcastError]) -> Json:
    answers = {
        "200": {"description": _STREAM, "content": {"text/event-stream": {}}},
        "204": {"description": "All jobs have ended: do not reconnect."},
    }
    found = operation(summary, answers, problems=[wrong, *_NO_ROOM])
    end = "`end` = the stream has ended; any other value is ignored."
    last = [parameter("Last-Event-ID", TEXT, where="header", text=end), parameter("lastEventId", TEXT, text=end)]
    return {**found, "parameters": [*names, *last]}


def _socket() -> Json:
    answers = {"101": {"description": _SOCKET}}
    wrong = [errors.UpgradeRequired, errors.InvalidRequest, *_NO_ROOM]
    return operation("The WebSocket", answers, _SOCKET, wrong)

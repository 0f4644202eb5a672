"""The exception hierarchy; `routes/problems.py` turns it into problem details (RFC 9457).

HookcastError
├── RequestError            the request is invalid
│   ├── InvalidRequest          422
│   ├── BadPath                 400
│   ├── UpgradeRequired         426
│   ├── BodyTooLarge            413
│   ├── BodyTimeout             408
│   ├── BadRequest              400, not HTTP/1.1
│   ├── UrlTooLong              414
│   ├── HeadTooLarge            431
│   └── HeadTimeout             408
├── AccessError             the caller may not do this
│   ├── Unauthorized            401
│   ├── TokenInvalid            401
│   ├── TokenExpired            401
│   ├── Forbidden               403
│   └── OriginNotAllowed        403
├── LimitReached            the client has reached a limit: retry after `retry_after` seconds
│   ├── TooManyStreamsOfClient  429
│   └── RateLimited             429
├── JobNotFound             404
├── UnknownToFal            404
├── AlreadyTerminal         409
├── NotTerminal             409
├── InputNotKept            409
├── ForwardingOff           409
├── IdempotencyConflict     409
├── IdempotencyMismatch     422
├── SubmitOutcomeUnknown    409
├── NoTokenSecret           409
├── WebhookRefused          the webhook is malformed or its signature is not accepted
│   ├── Malformed               400
│   ├── SignatureMissing        401
│   ├── SignatureInvalid        401
│   ├── TimestampOutOfRange     401
│   └── UserMismatch            401
├── FalError                fal rejected the request, or did not answer
│   ├── FalRejected             502, with fal's status and body
│   │   ├── EndpointUnknown
│   │   └── UnusableResult
│   └── FalUnreachable          502
├── Unavailable             retry: a dependency is unavailable
│   ├── StoreUnavailable        503
│   │   └── StoreRefused            503; at the start: exit code 2
│   ├── KeysUnavailable         503
│   ├── Busy                    503
│   ├── TooManyStreams          503
│   └── Draining                503
├── UsageError              invalid input on the command line (exit code 2)
└── SettingsError           invalid settings: the server does not start (command line, exit code 2)
"""

from hookcast.errors.access import (
    AccessError,
    Forbidden,
    NoTokenSecret,
    OriginNotAllowed,
    Refusal,
    TokenExpired,
    TokenInvalid,
    Unauthorized,
)
from hookcast.errors.base import HookcastError, NodeFailed, SettingsError, UsageError
from hookcast.errors.fal import (
    EndpointUnknown,
    FalError,
    FalRejected,
    FalUnreachable,
    Malformed,
    SignatureInvalid,
    SignatureMissing,
    TimestampOutOfRange,
    UnusableResult,
    UserMismatch,
    WebhookRefused,
)
from hookcast.errors.jobs import (
    AlreadyTerminal,
    ForwardingOff,
    IdempotencyConflict,
    IdempotencyMismatch,
    InputNotKept,
    JobNotFound,
    NotTerminal,
    SubmitOutcomeUnknown,
    UnknownToFal,
)
from hookcast.errors.requests import (
    BadPath,
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    HeadTimeout,
    HeadTooLarge,
    InvalidRequest,
    LimitReached,
    RateLimited,
    RequestError,
    TooManyStreamsOfClient,
    UpgradeRequired,
    UrlTooLong,
)
from hookcast.errors.unavailable import (
    Busy,
    Draining,
    KeysUnavailable,
    NotStorable,
    StoreRefused,
    StoreUnavailable,
    TooManyStreams,
    Trouble,
    Unavailable,
)

__all__ = [
    "AccessError",
    "AlreadyTerminal",
    "BadPath",
    "BadRequest",
    "BodyTimeout",
    "BodyTooLarge",
    "Busy",
    "Draining",
    "EndpointUnknown",
    "FalError",
    "FalRejected",
    "FalUnreachable",
    "Forbidden",
    "ForwardingOff",
    "HeadTimeout",
    "HeadTooLarge",
    "HookcastError",
    "IdempotencyConflict",
    "IdempotencyMismatch",
    "InputNotKept",
    "InvalidRequest",
    "JobNotFound",
    "KeysUnavailable",
    "LimitReached",
    "Malformed",
    "NoTokenSecret",
    "NodeFailed",
    "NotStorable",
    "NotTerminal",
    "OriginNotAllowed",
    "RateLimited",
    "Refusal",
    "RequestError",
    "SettingsError",
    "SignatureInvalid",
    "SignatureMissing",
    "StoreRefused",
    "StoreUnavailable",
    "SubmitOutcomeUnknown",
    "TimestampOutOfRange",
    "TokenExpired",
    "TokenInvalid",
    "TooManyStreams",
    "TooManyStreamsOfClient",
    "Trouble",
    "Unauthorized",
    "Unavailable",
    "UnknownToFal",
    "UnusableResult",
    "UpgradeRequired",
    "UrlTooLong",
    "UsageError",
    "UserMismatch",
    "WebhookRefused",
]

"""Errors as RFC 9457 `application/problem+json`, and JSON responses."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hookcast.errors import AccessError, HookcastError, LimitReached, Unauthorized, Unavailable, UpgradeRequired
from hookcast.logs import get_logger, path_shown

_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 416: "range_not_satisfiable"}
_log = get_logger(__name__)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `value` (or bytes that are already JSON) as a response, `no-store` unless `headers` override it."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(body, status, all_headers, "application/json")


async def on_error(_request: object, error: Exception) -> Response:
    """Respond to a HookcastError with its problem document."""
    assert isinstance(error, HookcastError)  # noqa: S101
    return answer(error)


def answer(error: HookcastError) -> Response:
    """Return the problem document of a HookcastError."""
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Unavailable | LimitReached) else {}
    if isinstance(error, UpgradeRequired):
        headers = {"Upgrade": "websocket"}  # RFC 9110 section 15.5.22
    if isinstance(error, AccessError) and error.status == 401:  # RFC 6750 section 3
        headers = {"WWW-Authenticate": "Bearer" if isinstance(error, Unauthorized) else 'Bearer error="invalid_token"'}
    return problem(error.status, error.code, error.title, str(error), extensions=error.extensions(), headers=headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Respond to an error of the router: an unknown path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    path, status = request.url.path, error.status_code
    if status == 404 and path.startswith("/api/") and (".." in path or "\0" in path):
        return problem(400, "invalid_path", "The path is not valid", "A path may not contain '..' or NUL.")
    title = HTTPStatus(status).phrase
    detail = f"There is nothing at {path}." if status == 404 else error.detail
    if detail == title:  # Starlette's own detail, for a file
        detail = f"{path} does not accept {request.method}."
    return problem(status, _CODES.get(status, "http_error"), title, detail, headers=dict(error.headers or {}))


async def on_crash(request: Request, error: Exception) -> Response:
    """Log an unexpected exception, and respond 500 without its details; uvicorn then closes the connection."""
    _log.error("request_crashed", path=path_shown(request.url.path), exc_info=error)
    title, detail = "Something went wrong in Hookcast", "The server's log has the details."
    return problem(500, "internal_error", title, detail, headers={"Connection": "close"})


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    extensions: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return a problem document. Its type is about:blank; programs read `code`."""
    body = {"title": title, "status": status, "detail": detail, "code": code, **(extensions or {})}
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(body), status, all_headers, "application/problem+json")

"""Parse fal's webhook body into an update of a job; pure.

Source: fal's documentation, "Webhooks API". Unknown fields are accepted, `payload`, `error` and `payload_error` may be
null, and `payload` stays byte for byte, except for lone surrogates (see lenient_json.py).
"""

import msgspec
from msgspec import Raw, Struct

from hookcast.errors import Malformed
from hookcast.fal.lenient_json import BYTE_ORDER_MARK, REPLACEMENT, decode, read
from hookcast.fal.sentences import sentence
from hookcast.jobs import Completed, Failed, Phase, Progressed, valid_request_id
from hookcast.nesting import MAX_DEPTH, too_deep

_NULL = b"null"


class _Webhook(Struct):
    request_id: str
    status: str
    payload: Raw = Raw(_NULL)
    error: Raw = Raw(_NULL)
    payload_error: Raw = Raw(_NULL)


class WebhookReport(Struct, frozen=True):
    """The content of one webhook: a result, a failure, or `saving` = a success whose result must be fetched."""

    request_id: str
    update: Completed | Failed | Progressed


def parse(body: bytes) -> WebhookReport:
    """Parse a webhook whose signature has been verified.

    Raises Malformed when it is not JSON of fal's shape, is nested too deep, or its request id cannot name a job.
    """
    if too_deep(body):
        raise Malformed(f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        webhook, update = _read(body.removeprefix(BYTE_ORDER_MARK))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not a fal webhook: {error}.") from None
    if not valid_request_id(webhook.request_id) or REPLACEMENT in webhook.request_id:
        raise Malformed("The webhook's request_id is not valid.")
    if webhook.status.upper() not in {"OK", "ERROR"}:
        raise Malformed("The webhook's status is neither OK nor ERROR.")
    return WebhookReport(request_id=webhook.request_id, update=update or _update(webhook))


def _read(body: bytes) -> tuple[_Webhook, Failed | Progressed | None]:
    """Return the webhook, and its update unless that follows from it.

    Python's servers write NaN and control characters, which are no JSON: such a failure is told all the same, and such
    a result is fetched from the queue. A failure is also told with bytes that are not UTF-8.
    """
    try:
        return decode(body, _Webhook), None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fields = _nearly(body)
        request_id, status = fields.get("request_id"), fields.get("status")
        if not (isinstance(request_id, str) and isinstance(status, str)):
            raise
        failed = status.upper() == "ERROR"
        if isinstance(error, UnicodeDecodeError) and not failed:
            raise
    failure = Failed(error=sentence(fields.get("payload"), fields.get("error"), fields.get("payload_error")))
    saving = Progressed(phase=Phase.SAVING)
    return _Webhook(request_id, status), failure if failed else saving


def _nearly(body: bytes) -> dict[str, object]:
    try:
        found = read(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _update(webhook: _Webhook) -> Completed | Failed | Progressed:
    payload, error, payload_error = (_present(raw) for raw in (webhook.payload, webhook.error, webhook.payload_error))
    if webhook.status.upper() == "ERROR":
        return Failed(error=sentence(payload, error, payload_error), detail=payload or error or payload_error)
    if payload is None and (payload_error or error) is not None:
        return Progressed(phase=Phase.SAVING)
    return Completed(result=payload or Raw(_NULL))


def _present(raw: Raw) -> Raw | None:
    """Return a copy that does not keep the whole body in memory; None for JSON null."""
    found = bytes(raw)
    return None if found == _NULL else Raw(found)

"""Webhooks as fal signs them, with a key of our own."""

import base64
import hashlib
import json
import time

from nacl.signing import SigningKey

KEY = SigningKey.generate()
PAYLOAD = {"video": {"url": "https://v3.fal.media/files/x/output.mp4", "content_type": "video/mp4"}}


def jwks() -> bytes:
    """Return a JWKS with the one signing key, as fal's."""
    x = base64.urlsafe_b64encode(bytes(KEY.verify_key)).decode()
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).encode()


def webhook(request_id: str, payload: object = PAYLOAD) -> bytes:
    """Return a signed webhook as an HTTP/1.1 request."""
    body = json.dumps({"request_id": request_id, "status": "OK", "error": None, "payload": payload}).encode()
    seconds = str(int(time.time()))
    digest = hashlib.sha256(body).hexdigest()
    signature = KEY.sign(f"{request_id}\nuser\n{seconds}\n{digest}".encode()).signature.hex()
    head = (
        f"POST /api/webhooks/fal HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"X-Fal-Webhook-Request-Id: {request_id}\r\nX-Fal-Webhook-User-Id: user\r\n"
        f"X-Fal-Webhook-Timestamp: {seconds}\r\nX-Fal-Webhook-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body

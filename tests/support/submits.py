"""Submits with a key, and the webhooks of what they intended."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from support.fal import ENDPOINT, sign
from support.server import Node

BODY: dict[str, Any] = {
    "endpointId": ENDPOINT,
    "input": {"prompt": "a cat"},
    "owner": "user-1",
    "group": "g",
    "metadata": {"n": 1},
}
KEY = {"Idempotency-Key": "k"}
RETRY = {**KEY, "Idempotency-Retry": "yes"}
CUT = httpx.ReadError("cut")
GONE = httpx.Response(502, headers={"x-fal-request-id": "taken"})


def taken(name: str) -> httpx.Response:
    """fal's answer to a submit."""
    return httpx.Response(200, json={"request_id": name})


async def submit(node: Node, headers: Mapping[str, str] = KEY, **changes: Any) -> httpx.Response:
    """Submit `BODY` with these changes."""
    return await node.client.post("/api/fal-jobs", json={**BODY, **changes}, headers=dict(headers))


async def webhook(node: Node, name: str, number: int = -1, *, submit: str | None = None) -> httpx.Response:
    """Send the webhook of a job to the address that the `number`th request named, or with another `submit`."""
    address = urlsplit(node.fal.asked(ENDPOINT)[number].url.params["fal_webhook"])
    body = node.fal.webhook(name)
    query = address.query if submit is None else f"submit={submit}"
    headers = sign(body, node.fal.key)
    return await node.client.post(f"{address.path}?{query}", content=body, headers=headers)


async def job(node: Node, name: str) -> dict[str, Any]:
    """Poll a job."""
    found: dict[str, Any] = (await node.client.get(f"/api/fal-jobs/{name}")).json()
    return found


def code(answer: httpx.Response) -> tuple[int, str]:
    """The status and code of a problem."""
    return answer.status_code, answer.json()["code"]

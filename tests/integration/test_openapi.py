"""The description at /openapi.json: whole, and as the server behaves."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route

from hookcast import app, errors
from hookcast.errors import HookcastError
from hookcast.routes.openapi import describe
from support.server import Node

INTERNAL = {"internal_error"}  # HookcastError itself


def _kinds(root: type[HookcastError]) -> Iterator[type[HookcastError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from _kinds(kind)


def test_every_route_is_described_and_nothing_else() -> None:
    """By path and method; the page's files are no interface."""
    described = {
        (method.upper(), path.replace("{requestId}", "{request_id}"))
        for path, item in describe()["paths"].items()
        for method in item.keys() & {"get", "put", "post", "delete"}
    }
    routed = {
        (method, route.path)
        for route in app._routes()
        if isinstance(route, Route)
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    assert described == routed


def test_every_code_of_an_answer_is_described_with_its_status() -> None:
    """Each error class that has a code of its own and reaches a client."""
    told: set[tuple[int, str]] = set()
    for item in describe()["paths"].values():
        for operation in (item[method] for method in item.keys() & {"get", "put", "post", "delete"}):
            for status, answer in operation["responses"].items():
                for schema in answer.get("content", {}).get("application/problem+json", {}).values():
                    told |= {(int(status), code) for code in schema["allOf"][1]["properties"]["code"]["enum"]}
    kinds = {(kind.status, kind.code) for kind in _kinds(HookcastError) if kind is not errors.SettingsError}
    assert told == {(status, code) for status, code in kinds if code not in INTERNAL}


def test_every_reference_leads_somewhere() -> None:
    """To a schema or a parameter."""
    document = describe()
    for reference in _references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def _references(value: Any) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key == "$ref":
            yield inner
        yield from _references(inner)


@pytest.mark.anyio
async def test_the_description_is_served(node: Node) -> None:
    answer = await node.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(json.dumps(describe()))

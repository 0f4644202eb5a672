"""Clients of a server behind a proxy."""

import ssl
from contextlib import AbstractAsyncContextManager, suppress

import httpx

from support.clients import STATUS, Seeing, curl
from support.proxies import Proxy
from support.server import Node
from support.sockets import Socket, python_socket

PATH = "/api/fal-jobs/job-1/events"


def curl_through(proxy: Proxy, path: str, *options: str, version: str = "2") -> AbstractAsyncContextManager[Seeing]:
    """Watch by curl, over this version of HTTP."""
    wanted = {"1.1": "--http1.1", "2": "--http2"}[version]
    return curl(proxy.url + path, "--cacert", str(proxy.certificate), wanted, *STATUS, *options)


def socket_through(proxy: Proxy) -> AbstractAsyncContextManager[Socket]:
    """Connect a WebSocket."""
    return python_socket(proxy.socket_url, ssl=trusting(proxy))


def trusting(proxy: Proxy) -> ssl.SSLContext:
    """What trusts the proxy's certificate."""
    return ssl.create_default_context(cafile=str(proxy.certificate))


async def gone(node: Node) -> None:
    """Stop the node, and wait until nobody listens at its port."""
    node.server.should_exit = True
    with suppress(httpx.TransportError):
        while True:
            await node.client.get("/healthz")

"""Hookcast as `hookcast serve` runs it, with one more route that hands a state straight to the hub.

The other peers have no database, so this route leaves it out too. Streams go the usual way: authorise, read the store.
Usage: hookcast_server.py PORT
"""

import sys
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hookcast import logs, serve
from hookcast.app import create_app
from hookcast.push import Hub
from hookcast.settings import load_settings
from hookcast.wire import State

hub = Hub()


async def publish(request: Request) -> Response:
    """POST /publish/{topic}?version=N: the body goes to everybody who watches the job, as it is."""
    topic, version, body = request.path_params["topic"], int(request.query_params["version"]), await request.body()
    more: dict[str, Any] = {"group": None} if "group" in State.__struct_fields__ else {}
    hub.deliver(State(request_id=topic, version=version, terminal=False, body=body, **more))
    return Response(status_code=202)


if __name__ == "__main__":
    logs.configure()
    settings = load_settings(port=int(sys.argv[1]))
    app = create_app(settings, hub=hub)
    app.router.routes.insert(0, Route("/publish/{topic}", publish, methods=["POST"]))
    serve.run(serve.Site(app, serve.bind(settings.host, settings.port), hub.drain))

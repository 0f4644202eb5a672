"""Hookcast as `hookcast serve` runs it, plus a route that publishes a state as a committed change is.

The other peers have no database, so this route skips it, too. Streams work as usual: authorize, read the store.
Usage: hookcast_server.py PORT
"""

import sys

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hookcast import logs
from hookcast.app import create_app, make_admission
from hookcast.openfiles import raise_open_files
from hookcast.routes.services import services
from hookcast.serving import server as serve
from hookcast.settings import load_settings
from hookcast.wire import State

logs.configure()
settings = load_settings(port=int(sys.argv[1]))
admission = make_admission(settings, max_streams=raise_open_files() - 512)


async def publish(request: Request) -> Response:
    """Handle POST /publish/{topic}?version=N: deliver the body unchanged to all subscribers of the job."""
    topic, version, body = request.path_params["topic"], int(request.query_params["version"]), await request.body()
    await services(request).bus.publish(State(request_id=topic, version=version, terminal=False, body=body))
    return Response(status_code=202)


app = create_app(settings, admission=admission)
app.router.routes.insert(0, Route("/publish/{topic}", publish, methods=["POST"]))
serve.run(serve.Site(app, serve.bind(settings.host, settings.port), admission.drain))

"""A stand-in for Supabase's Data API (PostgREST): calls functions of the database as the role of the caller's key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hookcast.serving.server import Server, Site, bind
from support.server import serve

SECRET_KEY, PUBLISHABLE_KEY = "sb_secret_of_the_tests", "sb_publishable_of_the_tests"
_ROLES = {SECRET_KEY: "service_role", PUBLISHABLE_KEY: "anon"}


@asynccontextmanager
async def running_data_api(database_url: str) -> AsyncIterator[str]:
    """Serve the functions of a database; yield the URL of the project."""

    async def call(request: Request) -> Response:
        role = _ROLES[request.headers["apikey"]]
        function, values = request.path_params["function"], await request.json()
        names = ", ".join(f"{name} => ${number}" for number, name in enumerate(values, 1))
        connection = await asyncpg.connect(database_url)
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {role}")
                await connection.execute(f"SELECT public.{function}({names})", *values.values())
        except asyncpg.PostgresError as error:
            return JSONResponse({"code": error.sqlstate, "message": str(error)}, 403)
        finally:
            await connection.close()
        return Response(status_code=204)

    app = Starlette(routes=[Route("/rest/v1/rpc/{function}", call, methods=["POST"])])
    listener = bind("127.0.0.1", 0)
    ready = asyncio.Event()
    server = Server(Site(app, listener, lambda: None), ready.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(server, listener))
        await ready.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True

"""Run a client of docs/clients.md, as documented.mjs does. Arguments: FILE SERVER REQUEST_ID TOKEN …."""

import asyncio
import json
import runpy
import sys
from typing import Any


async def main(file: str, server: str, request_id: str, *tokens: str) -> None:
    """Print each state; each token is given once, the last one over and over."""
    left = list(tokens)

    async def get_token() -> str:
        return left.pop(0) if len(left) > 1 else left[0]

    def report(job: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps([job["version"], job["status"]], separators=(",", ":")) + "\n")
        sys.stdout.flush()

    await runpy.run_path(file)["watch_job"](server, get_token, request_id, report)


asyncio.run(main(*sys.argv[1:]))

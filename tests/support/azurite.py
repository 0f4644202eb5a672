"""Azurite, Microsoft's emulator of Azure Blob Storage, and Microsoft's own client."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient, ContainerClient, LinearRetry

from support.ports import quiet_port

SECONDS = 120
CONTAINER = "media"
AZURITE = Path(__file__).parents[1] / "clients/node_modules/.bin/azurite-blob"
API_VERSION = "2023-11-03"  # object_store's; the client's newest is too new for Azurite
ACCOUNT = "devstoreaccount1"
# Azurite's own, the same for everybody.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CREDENTIALS = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}
WRONG = {"AZURE_STORAGE_ACCOUNT_KEY": KEY.replace("Eby8", "Eby9")}


class Container:
    """A container on Azurite. See KeepingServer."""

    atomic = True
    credentials = CREDENTIALS
    wrong_credentials = WRONG
    refusal = "AuthorizationFailure"

    def __init__(self, port: int, client: ContainerClient) -> None:
        self.port = port
        self._client = client

    def url(self, prefix: str, endpoint: str | None = None, name: str = CONTAINER) -> str:
        """See KeepingServer."""
        return f"az://{name}/{prefix}?endpoint={endpoint or f'http://127.0.0.1:{self.port}'}/{ACCOUNT}"

    def keys_under(self, prefix: str) -> list[str]:
        """See KeepingServer."""
        return list(self._client.list_blob_names(name_starts_with=f"{prefix}/"))

    def read(self, key: str) -> tuple[bytes, str]:
        """See KeepingServer."""
        found = self._client.download_blob(key)
        return found.readall(), found.properties.content_settings.content_type or ""


@contextmanager
def running_azurite(folder: Path) -> Iterator[Container]:
    """Run Azurite, with all files in memory."""
    port = quiet_port()
    command = [str(AZURITE), "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
    environment = {**os.environ, "NODE_NO_WARNINGS": "1"}
    with (
        (folder / "azurite.log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as server,
        BlobServiceClient(
            f"http://127.0.0.1:{port}/{ACCOUNT}",
            {"account_name": ACCOUNT, "account_key": KEY},
            api_version=API_VERSION,
            retry_policy=LinearRetry(backoff=0, retry_total=1, random_jitter_range=0),  # it closes idle connections
        ) as service,
    ):
        try:
            yield Container(port, _made(service, server))
        finally:
            server.terminate()


def _made(service: BlobServiceClient, server: "subprocess.Popen[bytes]") -> ContainerClient:
    """Make the container once the server is there."""
    deadline = time.monotonic() + SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            return service.create_container(CONTAINER)
        except AzureError as error:
            if "refused" not in str(error):
                raise
            time.sleep(0.05)
    raise AssertionError("Azurite did not start")

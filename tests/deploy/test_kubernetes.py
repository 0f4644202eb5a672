"""deploy/kubernetes.yaml: what it says by the schemas of Kubernetes, and its container at work."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from hookcast.settings import Settings
from support.access import ADMIN
from support.deploy import DEPLOY, Backends, Container, Deployed, Fal, deployed, here, manifest, pod

pytestmark = pytest.mark.anyio
OLDEST = "1.30"  # the file says so
DEADLINE = 40.0


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    """The objects of the file by their kinds."""
    return manifest()


@pytest.fixture(scope="module")
def template(objects: dict[str, Any]) -> dict[str, Any]:
    """The pods' spec."""
    spec: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_it_follows_the_schemas_of_kubernetes(version: str) -> None:
    """Of the oldest version that it is for, and of the newest one; no field is unknown."""
    for document in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()):
        kubernetes_validate.validate(document, version, strict=True)


def test_its_objects_find_each_other(objects: dict[str, Any], template: dict[str, Any]) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        template["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector == labels
    [container] = template["containers"]
    [port] = objects["Service"]["spec"]["ports"]
    assert port["targetPort"] in {named["name"] for named in container["ports"]}
    [rule] = objects["Ingress"]["spec"]["rules"]
    [path] = rule["http"]["paths"]
    target = {"name": objects["Service"]["metadata"]["name"], "port": {"name": port["name"]}}
    assert path["backend"]["service"] == target
    assert objects["ConfigMap"]["data"]["HOOKCAST_PUBLIC_URL"] == f"https://{rule['host']}"


def test_a_pod_is_locked_down(template: dict[str, Any]) -> None:
    """As the `restricted` Pod Security Standard asks, and with a read-only root."""
    [container] = template["containers"]
    assert template["securityContext"]["runAsNonRoot"]
    assert template["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert template["automountServiceAccountToken"] is False


def test_a_pod_has_the_time_to_drain(objects: dict[str, Any], template: dict[str, Any]) -> None:
    """After the wait in which it gets no new clients any more; and no old pod leaves before a new one is ready."""
    [container] = template["containers"]
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert template["terminationGracePeriodSeconds"] > waits + Settings.model_fields["drain_seconds"].default
    assert objects["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert objects["Deployment"]["spec"]["replicas"] >= 2


async def test_as_it_stands_it_starts_nothing_and_says_what_is_missing(objects: dict[str, Any], tmp_path: Path) -> None:
    """A key that everybody can read in the file would be none."""
    container = pod(objects)
    node = Deployed(tmp_path, container.environment, container.command)
    await node.spawn()
    assert await node.ended() == 2
    [line] = node.log.read_text().splitlines()
    assert "set HOOKCAST_API_KEYS for your backend and HOOKCAST_TOKEN_SECRET for browsers" in line


@pytest.fixture
async def pods(
    objects: dict[str, Any], filled: dict[str, str], falhost: Fal, backends: Backends, tmp_path: Path
) -> AsyncIterator[list[Deployed]]:
    """Two pods, with the Secret filled in."""
    secret = objects["Secret"]
    values = {name: filled[name] for name, value in secret["stringData"].items() if not value}
    container = pod({**objects, "Secret": {**secret, "stringData": secret["stringData"] | values}})
    places = {
        "postgres.example:5432/hookcast": backends.database,
        "redis.example:6379": backends.redis,
        objects["ConfigMap"]["data"]["HOOKCAST_FORWARDED_ALLOW_IPS"]: "127.0.0.1/32",
        "0.0.0.0": "127.0.0.1",  # noqa: S104
    }
    environment = here(container.environment, places) | falhost.settings
    nodes = [Deployed(tmp_path, environment, container.command) for _ in range(2)]
    async with deployed(*nodes):
        yield nodes


async def test_two_pods_serve_and_answer_their_probes(
    pods: list[Deployed], objects: dict[str, Any], falhost: Fal
) -> None:
    """All say ready; a watcher at one gets what the webhook brings to the other; a pod that ends is not ready."""
    container = pod(objects)
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}", headers=ADMIN, timeout=DEADLINE)
            )
            for node in pods
        ]
        for client in (one, two):
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                await _succeeds(client, container, kind)
        await one.put("/api/fal-jobs/job-1", json={})
        waiting = asyncio.ensure_future(one.get("/api/fal-jobs/job-1?wait=30&version=1"))
        body = json.dumps(
            {"request_id": "job-1", "gateway_request_id": "job-1", "status": "OK", "payload": {}}
        ).encode()
        await two.post("/api/webhooks/fal", content=body, headers=falhost.headers(body))
        assert (await waiting).json()["status"] == "completed"
    assert [await node.stop() for node in pods] == [0, 0]


async def _succeeds(client: httpx.AsyncClient, container: Container, kind: str) -> None:
    """As the kubelet asks, until it has had enough."""
    probe = container.spec[kind]
    [port] = container.spec["ports"]
    assert probe["httpGet"]["port"] == port["name"]
    assert port["containerPort"] == Settings.model_fields["port"].default
    for _ in range(probe["failureThreshold"]):
        if (await client.get(probe["httpGet"]["path"])).is_success:
            return
        await asyncio.sleep(probe["periodSeconds"] / 10)
    raise AssertionError(f"{kind} fails")

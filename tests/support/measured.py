"""What a server tells Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from support.server import Node


async def values(node: Node) -> dict[str, float]:
    """Each sample as Prometheus names it, `name{label="value"}`."""
    answer = await node.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found

"""The alarms of deploy/alerts.yaml, evaluated by Prometheus' own promtool on what real servers report."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from support.access import ADMIN
from support.deploy import DEPLOY
from support.server import Node

FILE = DEPLOY / "alerts.yaml"
LABELS = {"job": "hookcast", "instance": "hookcast.internal:8000"}
SCRAPES = 12  # a minute apart, before the fault and after it; the alarms look back ten
QUIET, LATER = f"{SCRAPES - 1}m", f"{SCRAPES + 2}m"
SECONDS = 60

Series = Mapping[str, float]
"""Values by series, in Prometheus' notation."""


def alarms() -> dict[str, dict[str, Any]]:
    """Return the alarms by name."""
    groups = yaml.safe_load(FILE.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


async def scrape(node: Node) -> Series:
    """Return what Prometheus stores when it scrapes the node."""
    answer = await node.client.get("/metrics", headers=ADMIN)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples]
    return {_series(sample.name, sample.labels): sample.value for sample in samples} | {_series("up", {}): 1}


def unanswered() -> Series:
    """Return what Prometheus stores when it cannot scrape the node."""
    return {_series("up", {}): 0}


def evaluate(folder: Path, before: Series, after: Series, fires: Mapping[str, Mapping[str, str]]) -> None:
    """Assert that no alarm fires on the samples before the fault, and exactly these after it.

    `fires` has the labels of each alarm that come from its series, besides `job` and `instance`.
    """
    values = {series: f"{_repeated(before.get(series))} {_repeated(after.get(series))}" for series in {*before, *after}}
    expected = [_expected(name, LATER, fires=name in fires, **fires.get(name, {})) for name in alarms()]
    test = {
        "rule_files": [str(FILE)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": text} for series, text in sorted(values.items())],
                "alert_rule_test": [_expected(name, QUIET, fires=False) for name in alarms()] + expected,
            }
        ],
    }
    file = folder / "alarms-test.yaml"
    file.write_text(yaml.safe_dump(test))
    command = ["promtool", "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _expected(name: str, moment: str, *, fires: bool, **more: str) -> dict[str, Any]:
    rule = alarms()[name]
    kept = LABELS if "sum by (job" not in rule["expr"] else {"job": LABELS["job"]}
    alert = {"exp_labels": {**rule["labels"], **kept, **more}, "exp_annotations": rule["annotations"]}
    return {"eval_time": moment, "alertname": name, "exp_alerts": [alert] if fires else []}


def _series(name: str, labels: Mapping[str, str]) -> str:
    pairs = (f"{label}={json.dumps(value)}" for label, value in sorted({**labels, **LABELS}.items()))
    return f"{name}{{{','.join(pairs)}}}"


def _repeated(value: float | None) -> str:
    """Return the value once for each scrape, in promtool's notation; `_` = no sample."""
    return f"_x{SCRAPES}" if value is None else " ".join([repr(value)] * SCRAPES)

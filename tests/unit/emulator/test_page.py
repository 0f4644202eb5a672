"""The page for users names what there is."""

import json
import re
from pathlib import Path

from hookcast.emulator.faults import Fault, read_input

PAGE = (Path(__file__).parents[3] / "docs/emulator.md").read_text()


def test_every_fault_stands_in_the_table_and_no_other() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [str(fault) for fault in Fault]


def test_the_example_is_an_input_that_the_emulator_takes() -> None:
    """With the faults it names."""
    body = PAGE.split("-d '")[1].split("'\n```")[0]
    wishes = read_input(json.dumps(json.loads(body)["input"]).encode()).wishes
    assert wishes.faults == {Fault.WEBHOOK_LATE, Fault.MODEL_ERROR}

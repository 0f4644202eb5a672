"""The page for users names what there is."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from hookcast.emulator.faults import Fault, Wishes, read_input
from hookcast.emulator.files import FileFault, FileWish

PAGE = (Path(__file__).parents[3] / "docs/emulator.md").read_text()
INPUTS = [part.split("'\n```")[0] for part in PAGE.split("-d '")[1:]]


def _table(heading: str) -> list[str]:
    rows = PAGE.split(f"\n| {heading} |")[1].split("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)


def _wishes(example: str) -> Wishes:
    return read_input(json.dumps(json.loads(example)["input"]).encode()).wishes


@pytest.mark.parametrize(("heading", "faults"), [("fault", Fault), ("fault of a file", FileFault)])
def test_every_fault_stands_in_its_table_and_no_other(heading: str, faults: type[Fault | FileFault]) -> None:
    assert _table(heading) == [str(fault) for fault in faults]


def test_every_option_of_a_file_stands_in_its_table_and_no_other() -> None:
    assert set(_table("option")) == {field.encode_name for field in msgspec.structs.fields(FileWish)}


def test_the_examples_are_inputs_that_the_emulator_takes() -> None:
    """With what they name."""
    faults, files = map(_wishes, INPUTS)
    assert faults.faults == {Fault.WEBHOOK_LATE, Fault.MODEL_ERROR}
    assert [file.fault for file in files.files] == [None, "cut", None, None]

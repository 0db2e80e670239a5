"""Stacks equal the reference reader's on every dump of the families, and what ``clrstack -all`` prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from analysis.dump import Dump
from analysis.pipeline import analyse
from analysis.reference_stacks import thread_facts
from analysis.runtime.stack_frames import FrameKind, StackFrame
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.comparison import Answers, Rule
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps
from tests.analysis.stack_comparison import STACK_RULES

_THREAD = re.compile(r"^OS Thread Id: 0x([0-9a-f]+)")
_FRAME = re.compile(r"^([0-9A-F]{16}) ([0-9A-Fa-f]{16}) (?:\[(\w+): [0-9a-f]+\] ?)?(.*?)(?: \[[^\]]+ @ \d+\])?$")


@pytest.fixture(scope="module")
def stack_answers(reference: ReferenceDump, dump: Dump) -> Answers:
    return Answers(reference.name, {"threads": thread_facts(dump, dump.walk())}, reference.oracle)


@pytest.mark.parametrize("compare", STACK_RULES, ids=lambda rule: rule.__name__)
def test_stacks_equal_the_reference(stack_answers: Answers, compare: Rule) -> None:
    compare(stack_answers)


def test_every_stack_is_walked_to_its_end(dump: Dump) -> None:
    assert {stack.os_id: stack.stopped for stack in dump.stacks if stack.stopped} == {}
    assert dump.stack_walker.methods.unreadable == set()
    assert len([stack for stack in dump.stacks if stack.frames]) >= len(dump.core.threads)


def _with_output_of_sos() -> list[ReferenceDump]:
    return [dump for dump in reference_dumps() if dump.path.with_suffix(".sos.txt").exists()]


@pytest.mark.parametrize("printed", _with_output_of_sos(), ids=lambda dump: dump.name)
def test_stacks_equal_what_clrstack_prints(printed: ReferenceDump) -> None:
    """Line by line: stack pointer, instruction pointer, Frame or method. It prints every frame, however deep the stack."""
    stacks = {stack.os_id: stack for stack in Dump(printed.path).stacks}
    for os_id, lines in clrstack(printed.path.with_suffix(".sos.txt")).items():
        found = [frame for frame in stacks[os_id].frames if frame.kind != FrameKind.NATIVE]
        ours = [
            (f.sp, f.ip, f.label or (f.method.name if f.method and f.code and f.code.kind != "dynamic method" else ""))
            for f in found
        ]
        assert ours == lines


def _printed(frame: StackFrame) -> str:
    """Methods made by DynamicMethod have no text there."""
    return "" if frame.method is None or frame.method.kind == "dynamic method" else frame.method.name


def test_the_coverage_strip_counts_stacks_and_frames(tmp_path: Path) -> None:
    path = bundled_dump("zoo-mini-net10")
    analyse(path, tmp_path, lambda *_: None)
    stacks = Dump(path).stacks[:5]
    items = json.loads((tmp_path / "facts" / "coverage.json").read_text())["items"]
    (item,) = [item for item in items if item["topic"] == "stacks"]
    assert (item["state"], item["title"]) == ("complete", f"5 stacks, {sum(len(stack.frames) for stack in stacks)} frames")


def clrstack(path: Path) -> dict[int, list[tuple[int, int, str]]]:
    """Stack pointer, instruction pointer and text of each line of ``clrstack -all`` by operating system thread id.

    SOS prints an InlinedCallFrame twice, the second time with the place it returns to: that line is left out.
    """
    section = path.read_text().partition("=== clrstack -all\n")[2].partition("\n=== ")[0]
    found: dict[int, list[tuple[int, int, str]]] = {}
    for line in section.splitlines():
        if match := _THREAD.match(line):
            rows = found.setdefault(int(match[1], 16), [])
        elif match := _FRAME.match(line):
            said = "" if match[4].startswith("SOS Warning") else match[4]
            row = (int(match[1], 16), int(match[2], 16), match[3] or said)
            if not (match[3] and rows and (rows[-1][0], rows[-1][2]) == (row[0], row[2])):
                rows.append(row)
    return found

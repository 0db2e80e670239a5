"""Stacks in damaged dumps: what can be proven is given, the walk says where and why it ended, and nothing hangs."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.insight.execution import Execution
from analysis.insight.findings import diagnose
from analysis.insight.rules import RULES
from analysis.pipeline import analyse
from analysis.runtime.stack_frames import FrameKind, ThreadStack
from tests.analysis.bundled_dumps import bundled_dump

_END = 0xFFFF_FFFF_FFFF_FFFF
_NAMES = ("zoo-mini-net10", "finalizer-net9", "zoo-net8")


@pytest.fixture(params=_NAMES)
def whole(request: pytest.FixtureRequest) -> Dump:
    return Dump(bundled_dump(request.param))


def _offset(dump: Dump, address: int) -> int:
    found = dump.core.memory.segments.find(address)
    assert found is not None
    return found[2] + address - found[0]


def _changed(dump: Dump, changes: dict[int, int], path: Path) -> Dump:
    """A copy of the dump with 64-bit words replaced, opened."""
    raw = bytearray(dump.core.path.read_bytes())
    for address, value in changes.items():
        struct.pack_into("<Q", raw, _offset(dump, address), value)
    path.write_bytes(raw)
    return Dump(path)


def _managed(stack: ThreadStack) -> list[tuple[int, int, str]]:
    return [(f.ip, f.sp, f.method.name) for f in stack.frames if f.kind == FrameKind.MANAGED and f.method]


def _busiest(dump: Dump) -> int:
    """Row of the thread with most managed frames."""
    threads = range(len(dump.threads.threads))
    return max(threads, key=lambda row: len(_managed(dump.stacks[row])))


def _frame_field(dump: Dump, row: int) -> int:
    """Where the thread keeps its innermost Frame."""
    return dump.threads.threads[row].address + dump.runtime.target.layout.offset("Thread", "Frame")


def test_a_chain_of_frames_that_comes_back_to_itself_is_cut(whole: Dump, tmp_path: Path) -> None:
    row = _busiest(whole)
    first = whole.runtime.target.memory.pointer(_frame_field(whole, row))
    following = first + whole.runtime.target.layout.offset("Frame", "Next")
    damaged = _changed(whole, {following: first}, tmp_path / "loop.dmp")
    stack = damaged.stacks[row]
    assert "the chain of Frames turns back" in stack.stopped
    assert _managed(stack) == _managed(whole.stacks[row])[: len(_managed(stack))]
    others = [r for r in range(len(whole.threads.threads)) if r != row]
    assert [_managed(damaged.stacks[r]) for r in others] == [_managed(whole.stacks[r]) for r in others]


@pytest.mark.parametrize("address", [0x10, 0xDEAD_BEEF_0000, 0x7FFF_FFFF_FFF8])
def test_a_frame_that_points_nowhere_is_said(whole: Dump, address: int, tmp_path: Path) -> None:
    row = _busiest(whole)
    damaged = _changed(whole, {_frame_field(whole, row): address}, tmp_path / "nowhere.dmp")
    assert "the chain of Frames is broken" in damaged.stacks[row].stopped
    assert damaged.stacks[row].frames, "the native frame from the registers is still known"


def test_a_stack_whose_pages_are_missing_stops_with_the_reason(whole: Dump, tmp_path: Path) -> None:
    row = _busiest(whole)
    stack = whole.stacks[row]
    top = next(frame for frame in stack.frames if frame.kind == FrameKind.MANAGED)
    start, end, offset = whole.core.memory.segments.find(top.sp) or (0, 0, 0)
    raw = bytearray(whole.core.path.read_bytes())
    at = _program_header(raw, start)
    struct.pack_into("<Q", raw, at + 32, 0)  # p_filesz: in the table, but nothing of it in the file
    path = tmp_path / "absent.dmp"
    path.write_bytes(raw)
    damaged = Dump(path)
    assert damaged.core.memory.segments.find(top.sp) is None
    assert damaged.stacks[row].stopped
    assert len(_managed(damaged.stacks[row])) < len(_managed(stack))
    assert start < end and offset


def _program_header(raw: bytearray, address: int) -> int:
    """Offset of the program header of the segment that begins at ``address``."""
    (table,) = struct.unpack_from("<Q", raw, 32)
    size, count = struct.unpack_from("<HH", raw, 54)
    if count == 0xFFFF:
        (sections,) = struct.unpack_from("<Q", raw, 40)
        (count,) = struct.unpack_from("<I", raw, sections + 44)
    for row in range(count):
        if struct.unpack_from("<Q", raw, table + row * size + 16)[0] == address:
            return int(table + row * size)
    raise AssertionError(f"no segment begins at {address:#x}")


def test_a_return_address_into_nowhere_ends_the_stack_there(whole: Dump, tmp_path: Path) -> None:
    """The innermost Frame's caller returns to an address that is no code: what was proven before stands."""
    row = _busiest(whole)
    frames = [f for f in whole.stacks[row].frames if f.kind == FrameKind.MANAGED]
    below, above = frames[-2], frames[-1]
    slot = above.sp - 8  # where the call pushed its return address
    assert whole.core.memory.u64(slot) == above.ip
    damaged = _changed(whole, {slot: 0x1234}, tmp_path / "return.dmp")
    kept = _managed(damaged.stacks[row])
    assert kept[-1] == (below.ip, below.sp, below.method.name if below.method else "")
    assert kept == _managed(whole.stacks[row])[: len(kept)]


def test_without_unwind_data_frame_pointers_lead_on(whole: Dump, tmp_path: Path) -> None:
    row = _busiest(whole)
    raw = bytearray(whole.core.path.read_bytes())
    for frame in whole.stacks[row].frames:
        block = whole.stack_walker.code.find(frame.ip) if frame.kind == FrameKind.MANAGED else None
        for entry in block.entries if block else ():
            at = _offset(whole, entry.base + (entry.unwind & ~1))
            raw[at : at + 4] = b"\xff" * 4
    path = tmp_path / "unwind.dmp"
    path.write_bytes(raw)
    found, expected = _managed(Dump(path).stacks[row]), _managed(whole.stacks[row])
    assert found[0] == expected[0]
    assert {name for _, _, name in found} <= {name for _, _, name in expected}
    assert len(found) >= len(expected) // 2


@pytest.mark.parametrize("seed", range(30))
def test_random_damage_to_stacks_code_and_threads_never_raises(seed: int, tmp_path: Path) -> None:
    random_source = random.Random(seed)
    whole = Dump(bundled_dump(_NAMES[seed % 2]))
    places = [frame.sp for stack in whole.stacks for frame in stack.frames]
    places += [thread.address for thread in whole.threads.threads]
    places += [body.start & ~7 for body in whole.stack_walker._bodies.values()]
    changes = {}
    for place in random_source.sample(places, min(12, len(places))):
        address = (place & ~7) + 8 * random_source.randrange(-8, 40)
        if whole.core.memory.segments.find(address) and whole.core.memory.segments.find(address + 7):
            values = [0, _END, random_source.getrandbits(64), address, whole.core.memory.u64(address) ^ 8, place]
            changes[address] = random_source.choice(values)
    try:
        damaged = _changed(whole, changes, tmp_path / "random.dmp")
        execution = Execution(damaged, damaged.walk())
        assert diagnose(execution, RULES)
        assert all(len(stack.frames) < 100_000 for stack in damaged.stacks)
    except AnalysisError:
        return  # refused with a reason: damage hit what opening needs
    analyse(damaged.core.path, tmp_path / "index", lambda *_: None)

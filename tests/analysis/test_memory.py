"""Segments, overlaps, absent bytes and notes, on cores built byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import MemoryFault
from analysis.memory.elf_core import ElfCore, open_elf_core
from analysis.memory.images import mapped_images
from analysis.memory.segments import SegmentTable
from tests.analysis.synthetic_core import SyntheticCore


def _open(tmp_path: Path, core: SyntheticCore) -> ElfCore:
    path = tmp_path / "core"
    path.write_bytes(core.build())
    return open_elf_core(path)


def test_bytes_are_read_across_touching_segments(tmp_path: Path) -> None:
    core = _open(tmp_path, SyntheticCore().segment(0x1000, b"abcdefgh").segment(0x1008, b"ijklmnop"))
    assert core.memory.read(0x1004, 8) == b"efghijkl"
    assert core.memory.u64(0x1004) == int.from_bytes(b"efghijkl", "little")


def test_absent_bytes_are_named_and_never_zero(tmp_path: Path) -> None:
    core = _open(tmp_path, SyntheticCore().segment(0x1000, b"12345678", 0x100).file_note([(0x5000, 0x6000, 0, "/lib/a.so")]))
    for address, cause in ((0x1008, "not_captured"), (0x5004, "not_captured"), (0x9000, "unmapped")):
        with pytest.raises(MemoryFault) as fault:
            core.memory.read(address, 4)
        assert fault.value.cause == cause
        assert core.memory.try_read(address, 4) is None


def test_a_truncated_file_keeps_what_is_there(tmp_path: Path) -> None:
    whole = SyntheticCore().segment(0x1000, b"x" * 4096).build()
    path = tmp_path / "core"
    path.write_bytes(whole[:-1000])
    core = open_elf_core(path)
    assert core.memory.read(0x1000, 3096) == b"x" * 3096
    with pytest.raises(MemoryFault) as fault:
        core.memory.read(0x1000 + 3096, 1)
    assert fault.value.cause == "file_truncated"


def test_the_first_of_two_overlapping_segments_wins_and_it_is_reported(tmp_path: Path) -> None:
    core = _open(tmp_path, SyntheticCore().segment(0x1008, b"B" * 16).segment(0x1000, b"A" * 16))
    assert core.memory.read(0x1000, 24) == b"A" * 8 + b"B" * 16
    assert [(o.start, o.end) for o in core.memory.segments.overlaps] == [(0x1008, 0x1010)]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60)), min_size=1, max_size=12))
def test_splicing_equals_a_byte_map(ranges: list[tuple[int, int]]) -> None:
    owner: dict[int, int] = {}
    for row, (start, size) in enumerate(ranges):
        for address in range(start, start + size):
            owner.setdefault(address, row * 1000 + address - start)
    columns = [
        np.array(values, np.uint64) for values in zip(*((s, n, n, row * 1000) for row, (s, n) in enumerate(ranges)), strict=True)
    ]
    table = SegmentTable.build(*columns, file_bytes=1 << 20)
    for address in range(0, 270):
        found = table.find(address)
        assert (found[2] + address - found[0] if found else None) == owner.get(address)


@pytest.mark.parametrize("count", [10_000, 60_000, 70_000])
def test_many_segments_are_all_found(tmp_path: Path, count: int) -> None:
    core = SyntheticCore()
    for number in range(count):
        core.segment(0x10000 + number * 0x1000, number.to_bytes(8, "little"))
    opened = _open(tmp_path, core)
    assert len(opened.memory.segments) == count
    assert all(opened.memory.u64(0x10000 + number * 0x1000) == number for number in (0, 1, count // 2, count - 1))


def test_notes_name_threads_and_files(tmp_path: Path) -> None:
    core = SyntheticCore().segment(0x1000, bytes(8)).thread_note(41, 6).thread_note(42)
    core.file_note(
        [(0x1000, 0x2000, 0, "/a/libx.so"), (0x2000, 0x3000, 1, "/a/libx.so"), (0x9000, 0xA000, 0, "/b/y.dll")], page=4096
    )
    opened = _open(tmp_path, core)
    assert [(t.os_id, t.signal) for t in opened.threads] == [(41, 6), (42, 0)]
    assert [(i.name, i.base, i.size) for i in mapped_images(opened.mappings)] == [
        ("libx.so", 0x1000, 0x2000),
        ("y.dll", 0x9000, 0x1000),
    ]


def test_numbers_gathered_equal_those_read_one_by_one(tmp_path: Path) -> None:
    pieces = ((0x1000, bytes(range(64))), (0x1040, bytes(range(100, 116))), (0x9000, b"12345"))
    synthetic = SyntheticCore()
    for address, content in pieces:
        synthetic.segment(address, content)
    memory = _open(tmp_path, synthetic).memory
    addresses = [0, 0xFFF, 0x1000, 0x1001, 0x1038, 0x103A, 0x1040, 0x104E, 0x9000, 0x9003, 0xFFFF_FFFF_FFFF_FFFF]
    for kind, size in (("u1", 1), ("<u2", 2), ("<i4", 4), ("<u8", 8)):
        values, there = memory.gather(np.array(addresses, np.uint64), kind)
        for value, found, address in zip(values.tolist(), there.tolist(), addresses, strict=True):
            raw = memory.try_read(address, size)
            if found:
                assert raw is not None and value == np.frombuffer(raw, kind)[0]
            else:
                # A number that two captured ranges share is left to who reads one by one.
                shared = memory.segments.find(address) != memory.segments.find(address + size - 1)
                assert value == 0 and (raw is None or shared)

"""Sync blocks and thin locks against the reference reader, and under damage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.contracts.dac_table import read_globals
from analysis.dump import Dump
from analysis.errors import MemoryFault
from analysis.kernels import headers as kernels
from analysis.limits import LIMITS
from analysis.runtime.sync_blocks import SyncTable, read_blocking_record, read_sync_table
from tests.analysis.reference_dumps import reference_dumps


@pytest.fixture(scope="module")
def table(dump: Dump) -> SyncTable:
    return read_sync_table(dump.runtime.target)


def test_nothing_of_the_table_is_missing(table: SyncTable) -> None:
    assert table.problems == []


def test_owners_agree_on_both_ids(dump: Dump, table: SyncTable) -> None:
    by_address = {thread.address: thread for thread in dump.threads.threads}
    by_id = {thread.managed_id: thread for thread in dump.threads.threads}
    for block in table.blocks.values():
        if block.held:
            thread = by_address.get(block.owner) or by_id[block.owner_id]
            assert thread.os_id == block.owner_os_id


def test_blocking_records_name_a_block_that_counts_the_thread(dump: Dump, table: SyncTable) -> None:
    """A thread that the runtime says is blocked is in the block's list, or one of those it counts before the lock."""
    blocks, entering = table.by_address(), dict[int, int]()
    for thread in dump.threads.threads:
        record = read_blocking_record(dump.runtime.target, thread.address)
        if record is None:
            continue
        block = blocks[record.sync_block]
        if record.in_wait:
            assert thread.address in block.wait_list
        else:
            entering[block.index] = entering.get(block.index, 0) + 1
    assert entering == {block.index: block.waiters for block in table.blocks.values() if block.waiters}


_WORDS = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 2**29).map(lambda header: header << 32), min_size=8, max_size=60)


@settings(deadline=None)  # the first example compiles
@given(_WORDS, st.integers(0, 3), st.integers(0, 4))
def test_the_kernel_agrees_with_its_slow_twin(words: list[int], cut: int, room: int) -> None:
    base, half = 0x7F00_0000_0000, len(words) // 2
    spans = [(base, base + 8 * half), (base + 8 * (half + cut), base + 8 * len(words))]
    addresses = [base + 8 * row for row in range(0, len(words), 3)]
    expected = []
    for row, address in enumerate(addresses):
        inside = any(start < address < end for start, end in spans)
        header = words[(address - base) // 8 - 1] >> 32 if inside else 0
        if inside and not header & 0x18000000 and header & 0xFFFF:
            expected.append((row, header))
    rows, headers = np.zeros(room, np.int64), np.zeros(room, np.uint32)
    columns = [np.array(column, np.int64) for column in zip(*((s, e, -base // 8) for s, e in spans), strict=True)]
    found = kernels.find_thin_locks(np.array(words, np.uint64), np.array(addresses, np.uint64), *columns, rows, headers)
    assert found == len(expected)
    assert list(zip(rows.tolist(), headers.tolist(), strict=True))[:found] == expected[:room]


class _CutMemory:
    """The memory of a dump without the addresses from ``first`` to ``last``, and with words overwritten."""

    def __init__(self, memory: Any, first: int = 0, last: int = 0, words: dict[int, int] | None = None) -> None:
        self._memory, self._first, self._last, self._words = memory, first, last, words or {}

    def read(self, address: int, length: int) -> bytes:
        if address < self._last and address + length > self._first:
            raise MemoryFault(address, length, "file_truncated")
        return self._memory.read(address, length)

    def pointer(self, address: int) -> int:
        return self._words[address] if address in self._words else int.from_bytes(self.read(address, 8), "little")

    def u32(self, address: int) -> int:
        return self._words[address] if address in self._words else int.from_bytes(self.read(address, 4), "little")


@pytest.fixture(scope="module")
def locks() -> Dump:
    return Dump(next(d for d in reference_dumps() if d.name == "net10/locks").path)


def _read(dump: Dump, first: int = 0, last: int = 0, words: dict[int, int] | None = None) -> SyncTable:
    target = dump.runtime.target
    return read_sync_table(replace(target, memory=_CutMemory(target.memory, first, last, words)))


def test_the_table_is_found_where_another_build_keeps_it(locks: Dump) -> None:
    """Its slot is known by what it points at, so that a build with other globals before it is read too."""
    target = locks.runtime.target
    table = target.runtime.dac_table
    shifted = {name: step + 5 for name, step in target.layout.dac_table.after_string_method_table.items()}
    layout = replace(target.layout, dac_table=replace(target.layout.dac_table, after_string_method_table=shifted))
    found = read_globals(target.memory, table.address, table.size, layout)
    for name in ("SyncTable", "SyncBlockCache"):
        assert found[name] == target.globals[name]


def test_a_missing_block_is_counted(locks: Dump) -> None:
    whole = read_sync_table(locks.runtime.target)
    lost = whole.blocks[2]
    table = _read(locks, lost.address, lost.address + 8)
    assert table.problems == [f"1 of {len(whole.blocks):,} sync blocks could not be read"]
    assert table.unread == {lost.address: (lost.index, lost.object)}
    assert sorted(table.blocks) == [1, 3, 4, 5, 6]


def test_a_cut_off_table_says_where(locks: Dump) -> None:
    start = locks.runtime.target.global_pointer("SyncTable")
    table = _read(locks, start, start + (1 << 20))
    assert not table.blocks and "cut off behind entry 0" in table.problems[0]


def test_a_count_beyond_the_table_is_bounded(locks: Dump) -> None:
    target = locks.runtime.target
    cache = target.global_pointer("SyncBlockCache")
    counts = {
        cache + target.layout.offset("SyncBlockCache", name): 0xFFFFFFFF for name in ("FreeSyncTableIndex", "SyncTableSize")
    }
    table = _read(locks, words=counts)
    assert f"{LIMITS.sync_blocks:,}" in table.problems[0] and len(table.blocks) >= 6


def test_a_waiter_list_that_turns_in_a_circle_ends(locks: Dump) -> None:
    target = locks.runtime.target
    block = next(b for b in read_sync_table(target).blocks.values() if len(b.wait_list) == 2)
    link = target.pointer(block.address, "SyncBlock", "WaitList")
    second = target.memory.pointer(link)
    table = _read(locks, words={second: link})
    assert table.blocks[block.index].wait_list == block.wait_list
    assert "Monitor.Wait breaks off in 1" in table.problems[0]


def test_without_globals_there_is_no_table_but_a_reason(locks: Dump) -> None:
    table = read_sync_table(replace(locks.runtime.target, globals={}))
    assert not table.blocks and "not found" in table.problems[0]

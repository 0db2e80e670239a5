"""Sync blocks: the table behind Monitor, who holds each block, who waits for it, and what the runtime says blocks a thread.

Source: ``vm/syncblk.h`` (SyncTableEntry, SyncBlock, AwareLock, SyncBlockCache, ThreadQueue) and ``vm/threads.h``
(WaitEventLink, DebugBlockingItem) in dotnet/runtime.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from analysis.contracts.target import Target
from analysis.errors import AnalysisError
from analysis.limits import LIMITS

_POINTER_BYTES = 8
_HELD = 1
_WAITERS_SHIFT = 6
#: An entry whose object has this bit set is free and points at the next free one.
_FREE_ENTRY = 1
#: Set in WaitEventLink.WaitSyncBlock once a waiter was pulsed.
_PULSED = 1
_ENTRIES_AT_ONCE = 4096
_ENTER, _WAIT = 0, 1
_NO_TIMEOUT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class SyncBlock:
    """One sync block in use. ``object`` is the object it belongs to.

    ``owner`` is the address of the Thread that holds it up to .NET 9, ``owner_id`` its managed id from .NET 10 on; both 0
    when nobody does. ``recursion`` counts entries, 1 for once. ``waiters`` stand before the lock, by its own count;
    ``wait_list`` holds the addresses of the threads in Monitor.Wait, the first to be woken first.
    """

    index: int
    address: int
    object: int
    held: bool
    owner: int
    owner_id: int
    owner_os_id: int
    recursion: int
    waiters: int
    wait_list: tuple[int, ...]


@dataclass(slots=True)
class SyncTable:
    """All sync blocks in use by index. ``problems`` says what could not be read, in words.

    ``unread``: address -> index and object of blocks that are not in the dump, of which the table alone tells.
    """

    blocks: dict[int, SyncBlock] = field(default_factory=dict)
    unread: dict[int, tuple[int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def by_address(self) -> dict[int, SyncBlock]:
        return {block.address: block for block in self.blocks.values()}


@dataclass(frozen=True, slots=True)
class BlockingRecord:
    """What the runtime noted about a thread before it blocked it: the sync block, and whether in Monitor.Enter or Wait.

    ``timeout`` in milliseconds, -1 for none.
    """

    sync_block: int
    in_wait: bool
    timeout: int


def read_sync_table(target: Target) -> SyncTable:
    """The sync table as far as it can be read; never raises."""
    table = SyncTable()
    try:
        start = target.global_pointer("SyncTable")
        count = _promised(target, table)
    except AnalysisError as error:
        table.problems.append(f"the table of sync blocks was not found: {error.what}")
        return table
    broken = 0
    for index, address, owner_object in _entries(target, start, count, table):
        try:
            block, whole = _read(target, index, address, owner_object)
        except AnalysisError:
            table.unread[address] = index, owner_object
            continue
        table.blocks[index] = block
        broken += not whole
    if table.unread:
        used = len(table.unread) + len(table.blocks)
        table.problems.append(f"{len(table.unread):,} of {used:,} sync blocks could not be read")
    if broken:
        table.problems.append(f"the list of threads in Monitor.Wait breaks off in {broken:,} sync blocks")
    return table


def _promised(target: Target, table: SyncTable) -> int:
    """How many entries the table has in use, itself included; no more than it has room for, nor than the cap."""
    cache = target.global_pointer("SyncBlockCache")
    count = target.u32(cache, "SyncBlockCache", "FreeSyncTableIndex")
    room = target.u32(cache, "SyncBlockCache", "SyncTableSize")
    if count > room:
        table.problems.append(f"the runtime counts {count:,} sync blocks in a table for {room:,}")
    if min(count, room) > LIMITS.sync_blocks:
        table.problems.append(f"only the first {LIMITS.sync_blocks:,} of {min(count, room):,} sync blocks were read")
    return min(count, room, LIMITS.sync_blocks)


def _entries(target: Target, start: int, count: int, table: SyncTable) -> Iterator[tuple[int, int, int]]:
    """Index, sync block and object of every entry in use. Entry 0 is none."""
    size = target.layout.types["SyncTableEntry"]["!"]
    block_at, object_at = (target.layout.offset("SyncTableEntry", name) for name in ("SyncBlock", "Object"))
    for first in range(1, count, _ENTRIES_AT_ONCE):
        rows = min(_ENTRIES_AT_ONCE, count - first)
        try:
            raw = target.memory.read(start + first * size, rows * size)
        except AnalysisError as error:
            table.problems.append(
                f"the table of sync blocks is cut off behind entry {first - 1:,} of {count - 1:,}: {error.what}"
            )
            return
        for row in range(rows):
            (block,) = struct.unpack_from("<Q", raw, row * size + block_at)
            (owner_object,) = struct.unpack_from("<Q", raw, row * size + object_at)
            if block and owner_object and not owner_object & _FREE_ENTRY:
                yield first + row, block, owner_object


def _read(target: Target, index: int, address: int, owner_object: int) -> tuple[SyncBlock, bool]:
    """One block, and whether its list of waiting threads is whole."""
    places = target.layout.types["SyncBlock"]
    raw = target.memory.read(address, places["!"])

    def number(code: str, name: str) -> int:
        return int(struct.unpack_from(code, raw, places[name])[0]) if name in places else 0

    state = number("<I", "LockState")
    held = bool(state & _HELD)
    wait_list, whole = _wait_list(target, address, number("<Q", "WaitList"))
    block = SyncBlock(
        index=index,
        address=address,
        object=owner_object,
        held=held,
        owner=number("<Q", "HoldingThread") if held else 0,
        owner_id=number("<I", "HoldingThreadId") if held else 0,
        owner_os_id=number("<I", "HoldingOSThreadId") if held else 0,
        recursion=number("<I", "Recursion") if held else 0,
        waiters=state >> _WAITERS_SHIFT,
        wait_list=wait_list,
    )
    return block, whole


def _wait_list(target: Target, address: int, link: int) -> tuple[tuple[int, ...], bool]:
    """Threads in Monitor.Wait on a block. The links lie on the stacks of those threads, so any of them may be missing."""
    link_at = target.layout.offset("WaitEventLink", "SyncBlockLink")
    found: list[int] = []
    seen: set[int] = set()
    try:
        while link:
            waiter = link - link_at
            back = target.pointer(waiter, "WaitEventLink", "WaitSyncBlock") & ~_PULSED
            if link in seen or back != address or len(found) >= LIMITS.threads:
                return tuple(found), False
            seen.add(link)
            found.append(target.pointer(waiter, "WaitEventLink", "Thread"))
            link = target.memory.pointer(link)
    except AnalysisError:
        return tuple(found), False
    return tuple(found), True


def read_blocking_record(target: Target, thread: int) -> BlockingRecord | None:
    """What blocks the Thread at ``thread`` in Monitor, as the runtime tells debuggers; None when nothing does.

    The caller must check that ``sync_block`` is one: the record lies on the thread's stack.
    """
    try:
        record = target.pointer(thread, "Thread", "DebugBlockingInfo")
        if not record or record % _POINTER_BYTES:
            return None
        kind = target.u32(record, "DebugBlockingItem", "Type")
        monitor = target.pointer(record, "DebugBlockingItem", "Monitor")
        timeout = target.u32(record, "DebugBlockingItem", "Timeout")
    except AnalysisError:
        return None
    if kind not in (_ENTER, _WAIT):
        return None
    return BlockingRecord(monitor - target.layout.offset("SyncBlock", "LockState"), kind == _WAIT, _signed(timeout))


def _signed(timeout: int) -> int:
    return -1 if timeout == _NO_TIMEOUT else timeout

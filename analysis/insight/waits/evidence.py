"""What the modules of this package look at: threads by their several ids, sync blocks, fields, the heap, thread statics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.by_type import ObjectsByType
from analysis.heap.thin_locks import ThinLock, find_thin_locks
from analysis.heap.walk import HeapWalk
from analysis.insight.waits.blocked import DefinedTypes
from analysis.runtime.stack_frames import ThreadStack
from analysis.runtime.sync_blocks import SyncBlock, SyncTable, read_sync_table
from analysis.runtime.thread_statics import ThreadStatics
from analysis.runtime.threads import ManagedThread

#: Bound of every list inside an object that is followed link by link.
MAXIMUM_LINKS = 100_000
#: Objects of one kind that are looked at one by one.
MAXIMUM_OBJECTS = 500_000


class Evidence:
    """One dump with its stacks, in the order of its threads. ``walked`` is None for a dump without a heap."""

    def __init__(self, dump: Dump, stacks: Sequence[ThreadStack], walked: HeapWalk | None) -> None:
        self.dump, self.walked = dump, walked
        self.target = dump.runtime.target
        self.threads: tuple[ManagedThread, ...] = dump.threads.threads
        by_address = {stack.thread.address: stack for stack in stacks if stack.thread}
        self.stacks = [by_address.get(thread.address) or ThreadStack(thread, thread.os_id) for thread in self.threads]
        self.fields = dump.named_fields
        self.statics = ThreadStatics(dump.runtime.types, dump.fields)
        self.methods = DefinedTypes()
        heap = None if isinstance(dump.gc_heap, AnalysisError) else dump.gc_heap
        self.heap = ObjectsByType(dump.core.memory, heap, walked, self.fields.bases)
        self.problems: list[str] = []
        self._owners: dict[tuple[str, str], dict[int, int]] = {}

    @cached_property
    def sync_table(self) -> SyncTable:
        table = read_sync_table(self.target)
        self.problems += table.problems
        return table

    @cached_property
    def block_of(self) -> dict[int, SyncBlock]:
        """Sync blocks by the object they belong to."""
        return {block.object: block for block in self.sync_table.blocks.values()}

    @cached_property
    def block_at(self) -> dict[int, SyncBlock]:
        """Sync blocks by their own address."""
        return self.sync_table.by_address()

    @cached_property
    def unread_blocks(self) -> dict[int, int]:
        """Sync block indexes by object of the blocks that are not in the dump."""
        return {owner_object: index for index, owner_object in self.sync_table.unread.values()}

    @cached_property
    def place_in_line(self) -> dict[int, int]:
        """Places of threads (by address) in the list of threads in Monitor.Wait, from 1."""
        return {thread: place for block in self.sync_table.blocks.values() for place, thread in enumerate(block.wait_list, 1)}

    @cached_property
    def thin_locks(self) -> dict[int, ThinLock]:
        """Thin locks by object; none for a dump without a heap."""
        heap = self.dump.gc_heap
        if self.walked is None or isinstance(heap, AnalysisError):
            return {}
        ids = {thread.managed_id for thread in self.threads}
        found = find_thin_locks(self.target.memory, heap, self.walked.columns.address, ids)
        return {lock.object: lock for lock in found}

    @cached_property
    def row_of_address(self) -> dict[int, int]:
        """Rows of threads by the address of their Thread."""
        return {thread.address: row for row, thread in enumerate(self.threads)}

    @cached_property
    def row_of_managed_id(self) -> dict[int, int]:
        """Rows of threads by managed id; an id is used again when its thread has ended, so living ones win."""
        return {t.managed_id: row for row, t in self._dead_first() if t.managed_id}

    @cached_property
    def row_of_os_id(self) -> dict[int, int]:
        return {t.os_id: row for row, t in self._dead_first() if t.os_id}

    def _dead_first(self) -> list[tuple[int, ManagedThread]]:
        return sorted(enumerate(self.threads), key=lambda pair: pair[1].alive)

    @cached_property
    def row_of_object(self) -> dict[int, int]:
        """Rows of threads by the address of their managed Thread object."""
        found = {}
        for row, thread in enumerate(self.threads):
            try:
                handle = self.target.pointer(thread.address, "Thread", "GCHandle")
                managed = self.target.memory.pointer(handle) if handle else 0
            except AnalysisError:
                continue
            if managed:
                found[managed] = row
        return found

    @cached_property
    def reader_counts(self) -> dict[int, list[tuple[int, int]]]:
        """What threads note about the ReaderWriterLockSlims they entered: id of the lock -> rows with their notes."""
        found: dict[int, list[tuple[int, int]]] = {}
        for row, thread in enumerate(self.threads):
            at = self.statics.reference(thread.address, "System.Threading.ReaderWriterLockSlim", "t_rwc")
            seen: set[int] = set()
            while at and at not in seen and len(seen) < MAXIMUM_LINKS:
                seen.add(at)
                found.setdefault(self.fields.number(at, "lockID") or 0, []).append((row, at))
                at = self.fields.reference(at, "next") or 0
        return found

    def ended(self, row: int) -> bool:
        """Whether a thread has ended, so that whatever it held is never let go. Row -1 is a thread that is not there."""
        return row < 0 or not self.threads[row].alive

    def type_name(self, address: int) -> str:
        return self.fields.type_name(address) or "an object that cannot be read"

    def instances(self, name: str, *, derived: bool = False) -> Iterator[int]:
        """Addresses of the heap's objects of a type, at most MAXIMUM_OBJECTS of them."""
        found = self.heap.of(name, derived=derived)
        if len(found) > MAXIMUM_OBJECTS:
            self.problems.append(f"only the first {MAXIMUM_OBJECTS:,} of {len(found):,} objects of {name} were looked at")
        yield from found[:MAXIMUM_OBJECTS].tolist()

    def instances_with(self, name: str, field_name: str) -> list[int]:
        """Those of ``instances`` whose field of four bytes of that name is not zero: a heap can hold a million idle locks."""
        found = self.heap.of(name)
        field = self.fields.find(int(found[0]), field_name) if len(found) else None
        if field is None:
            return []
        words = self.heap.words(found, field.offset & ~7) >> np.uint64(8 * (field.offset & 4))
        return [int(address) for address in found[words & np.uint64(0xFFFFFFFF) != 0][:MAXIMUM_OBJECTS]]

    def owner_by_field(self, name: str, field_name: str, *, derived: bool = False) -> dict[int, int]:
        """From what a field of the objects of a type refers to, back to the object; looked up once for the whole heap."""
        key = (name, field_name)
        if key not in self._owners:
            owners = self.heap.of(name, derived=derived)
            # What derives from a type keeps the fields it inherits where the type has them.
            field = self.fields.find(int(owners[0]), field_name) if len(owners) else None
            targets = self.heap.words(owners, field.offset) if field else owners
            self._owners[key] = dict(zip(targets.tolist(), owners.tolist(), strict=True)) if field else {}
            self._owners[key].pop(0, None)
        return self._owners[key]

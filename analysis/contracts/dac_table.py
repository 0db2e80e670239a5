"""Find the runtime's globals through ``g_dacTable``, the exported table of their addresses.

The table's order follows ``inc/dacvars.h`` and changes with servicing, so two slots are recognised by what they
point at and the others are taken relative to them. Slot 0 is the map from code addresses to code.
"""

from __future__ import annotations

import struct
from functools import partial
from itertools import pairwise

from analysis.contracts.layout import Layout
from analysis.errors import Corrupt, MemoryFault
from analysis.memory.reader import Memory

_STRING_BASE_SIZE, _STRING_COMPONENT_FLAGS = 22, 0x80000002
_MAXIMUM_SLOTS = 1024
#: ``vm/syncblk.h``: a header that holds the index of a sync block, not a hash code.
_SYNC_INDEX_KIND, _IS_SYNC_INDEX, _SYNC_INDEX_MASK = 0x0C000000, 0x08000000, 0x03FFFFFF
_ENTRIES_TRIED = 8


def read_globals(memory: Memory, table: int, size_bytes: int, layout: Layout) -> dict[str, int]:
    """Global name -> address of the variable. Raises Corrupt when the table or an anchor cannot be found."""
    count = min(size_bytes // 8, _MAXIMUM_SLOTS) or layout.dac_table.slot_count
    try:
        slots = struct.unpack(f"<{count}Q", memory.read(table, 8 * count))
    except MemoryFault as fault:
        raise Corrupt(
            "the runtime's table of globals is not in the dump", where=f"g_dacTable at {table:#x}: {fault.cause}"
        ) from fault
    anchor = next((i for i, slot in enumerate(slots) if memory.probe(partial(_is_gc_dac_globals, memory, slot, layout))), None)
    if anchor is None:
        raise Corrupt("the garbage collector's globals were not found", where=f"none of the {count} slots of g_dacTable")
    found = {"GCDacGlobals": slots[anchor]}
    found.update(_relative(slots, anchor, layout.dac_table.after_gc_dac_globals))
    later = range(anchor + 1, count)
    string = next((i for i in later if memory.probe(partial(_is_string_method_table, memory, slots[i]))), None)
    if string is not None:
        found["StringMethodTable"] = slots[string]
        found.update(_relative(slots, string, layout.dac_table.after_string_method_table))
    found.update(_sync_table(memory, slots, layout))
    found["CodeRangeMap"] = slots[0]
    found.update(_vtables(memory, slots, found.get("AppDomain", 0), layout.dac_table.vtables_from_app_domain))
    return found


def _vtables(memory: Memory, slots: tuple[int, ...], app_domain: int, names: list[str]) -> dict[str, int]:
    """``vtable of <class>`` -> address. They lie behind the vtable that the application domain itself begins with."""
    instance = memory.try_pointer(app_domain) if app_domain else None
    first = memory.try_pointer(instance) if instance else None
    if not names or not first or first not in slots:
        return {}
    place = slots.index(first)
    return {f"vtable of {name}": slot for name, slot in zip(names, slots[place:], strict=False) if name}


def _sync_table(memory: Memory, slots: tuple[int, ...], layout: Layout) -> dict[str, int]:
    """The table of sync blocks and its cache, whose slots lie side by side, by what they point at; nothing where no object
    with a sync block is in the dump to tell."""
    for table, cache in pairwise(slots):
        if memory.probe(partial(_is_sync_table, memory, table, layout)):
            return {"SyncTable": table, "SyncBlockCache": cache}
    return {}


def _is_sync_table(memory: Memory, slot: int, layout: Layout) -> bool:
    """Whether the objects in the first entries behind ``*slot`` name these entries in their own headers."""
    entry, header = layout.types["SyncTableEntry"], layout.types["ObjHeader"]
    table, agreed = memory.try_pointer(slot), 0
    for index in range(1, _ENTRIES_TRIED + 1) if table else ():
        owner = memory.try_pointer((table or 0) + index * entry["!"] + entry["Object"])
        raw = memory.try_read(owner - header["!"] + header["SyncBlockValue"], 4) if owner and not owner & 7 else None
        if raw is None:
            continue
        value = int.from_bytes(raw, "little")
        if value & _SYNC_INDEX_KIND != _IS_SYNC_INDEX or value & _SYNC_INDEX_MASK != index:
            return False
        agreed += 1
    return agreed > 0


def _relative(slots: tuple[int, ...], anchor: int, names: dict[str, int]) -> dict[str, int]:
    return {name: slots[anchor + step] for name, step in names.items() if 0 <= anchor + step < len(slots)}


def _is_gc_dac_globals(memory: Memory, slot: int, layout: Layout) -> bool:
    """``*slot`` looks like GcDacVars: small versions, five generations, highest generation number two."""
    try:
        base = memory.pointer(slot)
        fields = layout.types["GcDacVars"]
        return (
            1 <= memory.u8(base + fields["MajorVersion"]) <= 9
            and memory.u8(base + fields["MinorVersion"]) <= 16
            and 64 <= memory.u64(base + fields["GenerationSize"]) <= 4096
            and memory.u64(base + fields["TotalGenerationCount"]) == 5
            and memory.u32(memory.pointer(base + fields["MaxGeneration"])) == 2
        )
    except MemoryFault:
        return False


def _is_string_method_table(memory: Memory, slot: int) -> bool:
    try:
        method_table = memory.pointer(slot)
        flags, base_size = struct.unpack("<II", memory.read(method_table, 8))
    except MemoryFault:
        return False
    return bool(base_size == _STRING_BASE_SIZE and flags & 0x8000FFFF == _STRING_COMPONENT_FLAGS)

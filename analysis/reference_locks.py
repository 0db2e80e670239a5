"""Locks and exceptions in the keys of the reference reader's answers, for ``reference_facts``."""

from __future__ import annotations

from typing import Any

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.thin_locks import find_thin_locks
from analysis.heap.walk import HeapWalk
from analysis.insight.execution import Execution
from analysis.runtime.exceptions import ExceptionObject
from analysis.runtime.sync_blocks import SyncBlock, read_sync_table

_LIGHTWEIGHT = "dynamic method"
#: The reference lists no more exceptions than this.
_MOST_EXCEPTIONS = 2_000


def lock_facts(dump: Dump, walked: HeapWalk | None) -> dict[str, Any]:
    """Sync blocks in use and thin locks. Waiters of a lock are those its own count gives, without Monitor.Wait."""
    threads = {thread.managed_id: thread.address for thread in dump.threads.threads}
    table = read_sync_table(dump.runtime.target)
    heap, thin = dump.gc_heap, []
    if walked is not None and not isinstance(heap, AnalysisError):
        thin = find_thin_locks(dump.core.memory, heap, walked.columns.address, set(threads))
    return {
        "sync_blocks": [_sync_block(dump, block, threads) for block in table.blocks.values()],
        "thin_locks": [
            {
                "address": hex(lock.object),
                "type": _type(dump, lock.object),
                "thread": lock.owner_id,
                "recursion": lock.recursion - 1,
            }
            for lock in thin
        ],
    }  # fmt: skip


def _sync_block(dump: Dump, block: SyncBlock, threads: dict[int, int]) -> dict[str, Any]:
    owner = block.owner or threads.get(block.owner_id, 0)
    return {
        "Index": block.index, "object": hex(block.object), "type": _type(dump, block.object), "held": block.held,
        "owner": hex(owner if block.held else 0), "recursion": block.recursion if block.held else 0, "waiting": block.waiters,
    }  # fmt: skip


def exception_facts(dump: Dump, walked: HeapWalk | None) -> list[dict[str, Any]]:
    """Exceptions of the heap by address, with their stack traces."""
    if walked is None:
        return []
    rows = sorted((row.exception for row in Execution(dump, walked).exceptions.rows), key=lambda one: one.address)
    return [_exception(dump, one) for one in rows[:_MOST_EXCEPTIONS]]


def _exception(dump: Dump, one: ExceptionObject) -> dict[str, Any]:
    methods = [dump.stack_walker.methods.of(element.method_desc) for element in one.trace]
    return {
        "address": hex(one.address), "type": one.type_name, "message": one.message, "hresult": one.hresult,
        "inner": hex(one.inner) if one.inner else None,
        "frames": [
            {"ip": hex(element.ip), "sp": hex(element.sp), "method": None if method.kind == _LIGHTWEIGHT else method.name}
            for element, method in zip(one.trace, methods, strict=True)
        ],
    }  # fmt: skip


def _type(dump: Dump, address: int) -> str | None:
    try:
        return dump.runtime.types.name(dump.objects.type_of(address).method_table)
    except AnalysisError:
        return None

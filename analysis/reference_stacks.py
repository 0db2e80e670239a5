"""Threads and their stacks in the keys of the reference reader's answers, for ``reference_facts``."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.walk import HeapWalk
from analysis.runtime.stack_frames import FrameKind, Method, StackFrame, ThreadStack
from analysis.runtime.threads import ManagedThread

_LIGHTWEIGHT = "dynamic method"
_NOWHERE = {"method": None, "type": None, "module": None, "token": None, "il_offset": None}


def thread_facts(dump: Dump, walked: HeapWalk | None) -> list[dict[str, Any]]:
    """Managed threads with frames and references; native frames, which the reference does not have, are left out."""
    return [
        _thread(dump, walked, thread, stack)
        for thread, stack in zip(dump.threads.threads, dump.stacks, strict=False)
    ]  # fmt: skip


def _thread(dump: Dump, walked: HeapWalk | None, thread: ManagedThread, stack: ThreadStack) -> dict[str, Any]:
    frames = [frame for frame in stack.frames if frame.kind != FrameKind.NATIVE]
    return {
        "address": hex(thread.address), "managed_id": thread.managed_id, "os_id": thread.os_id, "state": str(thread.state),
        "gc_mode": thread.gc_mode, "alive": thread.alive, "finalizer": thread.finalizer, "name": thread.name,
        "exception": {"address": hex(thread.exception), "type": thread.exception_type} if thread.exception else None,
        "frames": [row for place, frame in enumerate(frames) for row in _rows(frame, frames[place + 1 :][:1])],
        "stack_roots": _roots(dump, walked, stack), "scanned_frames": sum(frame.scanned for frame in frames),
    }  # fmt: skip


def _rows(frame: StackFrame, behind: list[StackFrame]) -> list[dict[str, Any]]:
    """One row, and for an active InlinedCallFrame a second one with the place it returns to, as the reference has it."""
    if frame.kind == FrameKind.MANAGED:
        place = {"ip": hex(frame.ip), "sp": hex(frame.sp), "kind": "ManagedMethod", "frame": None}
        return [{**place, **_method(frame.method), "il_offset": frame.il_offset}]
    row = {"ip": hex(frame.ip), "sp": hex(frame.sp), "kind": "Runtime", "frame": frame.label, **_method(frame.method)}
    twice = frame.label == "InlinedCallFrame" and behind and behind[0].kind == FrameKind.MANAGED
    return [row, {**row, "ip": hex(behind[0].ip)}] if twice else [row]


def _method(method: Method | None) -> dict[str, Any]:
    if method is None or method.kind == _LIGHTWEIGHT:
        return dict(_NOWHERE)
    return {
        "method": method.name, "type": method.type_name, "module": method.module.name if method.module else None,
        "token": method.token, "il_offset": None,
    }  # fmt: skip


def _roots(dump: Dump, walked: HeapWalk | None, stack: ThreadStack) -> list[dict[str, Any]]:
    """References by frame; one into an object is given as that object. ``precise`` is ours: said by GC info."""
    found = [item for frame in stack.frames for item in frame.objects]
    objects = np.array([item.object for item in found], np.uint64)
    if walked is not None and found:
        interior = np.array([item.interior for item in found], bool)
        objects[interior] = walked.columns.containing(objects[interior])
    return [
        {
            "address": hex(item.slot), "object": hex(address), "type": _type_name(dump, address), "interior": item.interior,
            "pinned": item.pinned, "precise": item.precise,
        }
        for item, address in zip(found, objects.tolist(), strict=True)
    ]  # fmt: skip


def _type_name(dump: Dump, address: int) -> str | None:
    try:
        return dump.runtime.types.name(dump.objects.type_of(address).method_table)
    except AnalysisError:
        return None

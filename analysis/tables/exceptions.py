"""Tables exceptions and exception_frames."""

from __future__ import annotations

from analysis.dump import Dump
from analysis.index.store import IndexWriter
from analysis.insight.exceptions import ExceptionList
from analysis.runtime.debug_info import NO_MAPPING
from analysis.runtime.exceptions import TraceElement
from analysis.secrets.mask import masked
from analysis.tables.methods import MethodRows


def write_exceptions(writer: IndexWriter, dump: Dump, found: ExceptionList, methods: MethodRows) -> None:
    """exceptions and exception_frames."""
    rows = [entry.exception for entry in found.rows]
    frames = [(row, element, *_place(dump, element, methods)) for row, one in enumerate(rows) for element in one.trace]
    starts, at = [], 0
    for one in rows:
        starts.append(at)
        at += len(one.trace)
    writer.table("exceptions", {
        "address": [one.address for one in rows],
        "type_name": [one.type_name for one in rows],
        "message": masked([one.message or "" for one in rows]),
        "has_message": [one.message is not None for one in rows],
        "hresult": [one.hresult for one in rows],
        "inner": [found.row_of.get(one.inner, -1) for one in rows],
        "thread": [entry.thread for entry in found.rows],
        "nesting": [entry.nesting for entry in found.rows],
        "first_frame": starts,
        "frames": [len(one.trace) for one in rows],
    })  # fmt: skip
    writer.table("exception_frames", {
        "exception": [row for row, *_ in frames],
        "ip": [element.ip for _, element, *_ in frames],
        "sp": [element.sp for _, element, *_ in frames],
        "method": [method for *_, method, _ in frames],
        "il_offset": [il_offset for *_, il_offset in frames],
    })  # fmt: skip


def _place(dump: Dump, element: TraceElement, methods: MethodRows) -> tuple[int, int]:
    """Row of methods and IL offset of one frame. Its ip already lies inside the call, as the runtime stored it."""
    walker = dump.stack_walker
    block = walker.code.find(element.ip)
    if block and block.method_desc == element.method_desc:
        return methods.row(walker.body(block)), walker.il_offset(element.ip + 1, block)
    return methods.row_of_method(walker.methods.of(element.method_desc) if element.method_desc else None), NO_MAPPING

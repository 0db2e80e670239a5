"""The two documents of the index: summary (what the process is) and coverage (what its dump can answer)."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.heap.walk import HeapWalk
from analysis.index.schema import GENERATIONS
from analysis.insight.crash import signal_name
from analysis.insight.execution import Execution
from analysis.runtime.gc_heap import GcHeap
from analysis.secrets.mask import masked

ENGINE_VERSION = "1"
_DEAD_STATE, _BACKGROUND_STATE = "dead", "background"
_TAKE_A_HEAP_DUMP = (
    "Take a dump with the heap: createdump --withheap, dotnet-dump collect --type Heap, or DOTNET_DbgMiniDumpType=2."
)


def build_summary(dump: Dump, walked: HeapWalk | None, stages: list[tuple[str, float]]) -> dict[str, Any]:
    """facts/summary.json; a part that could not be read is null."""
    runtime, core = dump.runtime, dump.core
    located = runtime.target.runtime
    heap = dump.gc_heap
    return {
        "dump": {
            "format": "ELF core",
            "kind": dump.kind,
            "written_by": core.written_by,
            "size_bytes": core.size_bytes,
            "architecture": "x64",
            "operating_system": "Linux",
        },
        "process": _process(dump),
        "runtime": {
            "name": ".NET",
            "version": runtime.version,
            "major": runtime.target.layout.major,
            "deployment": located.deployment,
            "module": located.image.name,
            "build_id": located.build_id,
            "layout_source": runtime.layout_source,
            "build_known": runtime.build_known,
        },
        "gc": None if isinstance(heap, AnalysisError) else {
            "server": heap.server, "heaps": heap.heaps, "regions": heap.regions, "structures_valid": heap.structures_valid,
        },
        "heap": None if walked is None or isinstance(heap, AnalysisError) else _heap(heap, walked),
        "generations": [] if walked is None or isinstance(heap, AnalysisError) else _generations(heap, walked),
        "threads": _threads(dump),
        "analysis": {
            "seconds": round(sum(seconds for _, seconds in stages), 3),
            "stages": [{"name": name, "seconds": round(seconds, 3)} for name, seconds in stages],
            "engine_version": ENGINE_VERSION,
        },
    }  # fmt: skip


def _process(dump: Dump) -> dict[str, Any]:
    process = dump.core.process
    return {
        "pid": process.pid,
        "name": process.name,
        "path": dump.images[0].path if dump.images else "",
        "command_line": masked([_command_line(dump)])[0],
        "signal": _signal(dump),
        "threads": len(dump.core.threads),
    }


def _command_line(dump: Dump) -> str:
    """All arguments as the kernel laid them out; createdump writes none of its own, the kernel the first 79 characters."""
    initial = dump.initial_stack
    return " ".join(initial.arguments) if initial and initial.arguments else dump.core.process.command_line


def _threads(dump: Dump) -> dict[str, int]:
    threads = dump.threads.threads
    return {
        "managed": len(threads),
        "dead": sum(_DEAD_STATE in t.state_words for t in threads),
        "background": sum(_BACKGROUND_STATE in t.state_words for t in threads),
        "pool_workers": sum("pool worker" in t.roles for t in threads),
        "with_exception": sum(bool(t.exception) for t in threads),
    }


def _signal(dump: Dump) -> str | None:
    """The signal the process died of, in words; None for a dump taken on demand."""
    number = next((thread.signal for thread in dump.core.threads if thread.signal), 0)
    if not number:
        return None
    return signal_name(number)


def _heap(heap: GcHeap, walked: HeapWalk) -> dict[str, Any]:
    count = len(walked.types)
    return {
        "objects": walked.object_count,
        "bytes": int(walked.types.sizes[:count].sum()),
        "free_objects": int(walked.types.counts[0].sum()),
        "free_bytes": int(walked.types.sizes[0].sum()),
        "address_sum": hex(walked.columns.address_sum),
        "types": int(np.count_nonzero(walked.types.counts[:count].sum(axis=1))),
        "committed_bytes": sum(max(s.committed_end - s.start, 0) for s in heap.segments),
        "reserved_bytes": sum(max(s.reserved_end - s.start, 0) for s in heap.segments),
    }


def _generations(heap: GcHeap, walked: HeapWalk) -> list[dict[str, Any]]:
    """Generations that have segments or objects. An ephemeral segment's committed bytes count for generation 0."""
    count, table = len(walked.types), walked.types
    committed = dict.fromkeys(GENERATIONS, 0)
    for segment in heap.segments:
        kind = "Generation0" if segment.kind == "Ephemeral" else segment.kind
        committed[kind] += max(segment.committed_end - segment.start, 0)
    found = []
    for number, name in enumerate(GENERATIONS):
        objects = int(table.counts[:count, number].sum())
        if objects or committed[name]:
            found.append({
                "name": name, "count": objects, "size": int(table.sizes[:count, number].sum()),
                "free_count": int(table.counts[0, number]), "free_size": int(table.sizes[0, number]),
                "committed_bytes": committed[name],
            })  # fmt: skip
    return found


def build_coverage(execution: Execution, types_without_fields: int) -> dict[str, Any]:
    """facts/coverage.json: one item per question a person may ask of the dump."""
    dump, walked = execution.dump, execution.walked
    return {"items": [
        _heap_item(dump, walked), _threads_item(dump), _stacks_item(execution), _types_item(dump, walked, types_without_fields),
        _modules_item(dump), _layout_item(dump), _memory_item(dump),
    ]}  # fmt: skip


def _item(topic: str, state: str, title: str, reason: str = "", remedy: str = "") -> dict[str, str]:
    return {"topic": topic, "state": state, "title": title, "reason": reason, "remedy": remedy}


def _heap_item(dump: Dump, walked: HeapWalk | None) -> dict[str, str]:
    heap = dump.gc_heap
    if isinstance(heap, AnalysisError):
        return _item("heap", "none", "The heap cannot be read", str(heap), _TAKE_A_HEAP_DUMP)
    if walked is None:
        share = dump.heap_share
        return _item(
            "heap", "none", f"No heap: this is a {dump.kind} dump",
            f"It holds {share.captured_bytes:,} of {share.allocated_bytes:,} bytes of the managed heap: "
            "stacks and the runtime's own lists only.",
            _TAKE_A_HEAP_DUMP,
        )  # fmt: skip
    lost = sum(gap.end - gap.start for gap in walked.gaps)
    reasons = [
        *heap.problems,
        *([f"{len(walked.gaps):,} gaps of together {lost:,} bytes: {walked.gaps[0].cause}"] if walked.gaps else []),
    ]
    if not heap.structures_valid:
        reasons.append("the dump was taken in the middle of a collection, when objects are being moved")
    if reasons:
        return _item(
            "heap", "partial", f"Heap partly read, {walked.object_count:,} objects", "; ".join(reasons)[:2000],
            "Counts and sizes are those of the part that was read.",
        )  # fmt: skip
    return _item("heap", "complete", f"Heap complete, {walked.object_count:,} objects")


def _threads_item(dump: Dump) -> dict[str, str]:
    threads, problem = dump.threads.threads, dump.threads.problem
    if problem:
        return _item("threads", "partial" if threads else "none", f"{len(threads):,} threads read", problem)
    return _item("threads", "complete", f"All {len(threads):,} managed threads")


def _stacks_item(execution: Execution) -> dict[str, str]:
    """Stacks, exceptions and locks: how far they could be read, and why not further."""
    walked = [stack for stack in execution.stacks if stack.frames]
    frames = sum(len(stack.frames) for stack in walked)
    stopped = [stack for stack in execution.stacks if stack.stopped]
    reasons = [f"{len(stopped):,} of {len(walked):,} stacks end early: {stopped[0].stopped}"] if stopped else []
    if unreadable := execution.dump.stack_walker.methods.unreadable:
        reasons.append(f"{len(unreadable):,} methods could not be read")
    if left_out := execution.exceptions.left_out:
        reasons.append(f"{left_out:,} exceptions beyond the first {len(execution.exceptions.rows):,} were not read")
    if lost := execution.dump.exceptions.frames_left_out:
        reasons.append(f"{lost:,} frames of stack traces in exceptions were left out")
    reasons += execution.graph.problems
    state = "partial" if reasons else "complete"
    title = f"{len(walked):,} stacks, {frames:,} frames" if walked else "No stacks"
    return _item("stacks", state if walked else "none", title, "; ".join(reasons)[:2000])


def _types_item(dump: Dump, walked: HeapWalk | None, without_fields: int) -> dict[str, str]:
    if walked is None:
        return _item(
            "types", "none", "No types with objects", "Types are listed by the objects on the heap, which is not in this dump."
        )
    nameless = len(dump.runtime.types.nameless.intersection(walked.types.method_tables))
    if nameless or without_fields:
        return _item(
            "types", "partial", f"{len(walked.types) - 1:,} types, {nameless:,} without a name",
            f"{without_fields:,} types have no readable fields; metadata of their modules is missing or damaged.",
        )  # fmt: skip
    return _item("types", "complete", f"All {len(walked.types) - 1:,} types named")


def _modules_item(dump: Dump) -> dict[str, str]:
    modules = dump.runtime.modules
    broken = [module for module in modules if module.metadata is None]
    if broken:
        reasons = (m.problems[0] if m.problems else "made at run time, without saved metadata" for m in broken)
        title = f"{len(modules):,} modules, {len(broken):,} without metadata"
        return _item("modules", "partial", title, "; ".join(reasons)[:1000])
    return _item("modules", "complete", f"All {len(modules):,} managed modules")


def _layout_item(dump: Dump) -> dict[str, str]:
    runtime = dump.runtime
    title = f".NET {runtime.version} read by {runtime.layout_source}"
    # A dump without a heap lacks the memory of some checks as a matter of course.
    unmade = runtime.unmade_checks if dump.heap_share.present or not runtime.build_known else []
    problems = [*runtime.failed_checks, *(f"not checked: {subject}" for subject in unmade)]
    if problems:
        return _item("layout", "partial", title, "; ".join(problems)[:1000])
    if not runtime.build_known:
        return _item("layout", "complete", f"{title}; this exact build was not seen before, all checks of the layout hold")
    return _item("layout", "complete", title)


def _memory_item(dump: Dump) -> dict[str, str]:
    segments = dump.core.memory.segments
    if segments.truncated:
        missing = sum(end - start for start, end in segments.truncated)
        return _item(
            "memory", "partial", f"The file ends early: {missing:,} bytes are missing",
            "It was cut off while it was written or copied.", "Copy or take the dump again; check free disk space.",
        )  # fmt: skip
    if segments.overlaps:
        return _item(
            "memory", "partial", f"{len(segments.overlaps):,} overlapping ranges of memory",
            "The file describes some addresses twice; the first description was believed.",
        )  # fmt: skip
    captured = int((segments.ends - segments.starts).sum())
    return _item("memory", "complete", f"{captured:,} bytes of memory in {len(segments):,} ranges")

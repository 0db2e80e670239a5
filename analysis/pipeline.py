"""Analyse one dump into one index directory, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from analysis.dump import Dump
from analysis.errors import AnalysisError
from analysis.graph.retention import Retention
from analysis.heap.instances import group_instances
from analysis.heap.walk import HeapWalk
from analysis.index.store import IndexWriter
from analysis.insight.execution import Execution
from analysis.insight.findings import diagnose
from analysis.insight.rules import RULES
from analysis.secrets.find import find_secrets
from analysis.tables.contents import write_collections, write_strings
from analysis.tables.crash import build_crash
from analysis.tables.exceptions import write_exceptions
from analysis.tables.facts import ENGINE_VERSION, build_coverage, build_summary
from analysis.tables.findings import build_findings
from analysis.tables.heap import write_objects, write_segments
from analysis.tables.locks import write_locks
from analysis.tables.merged_stacks import write_merged_stacks
from analysis.tables.methods import MethodRows
from analysis.tables.process import write_modules, write_native_modules
from analysis.tables.retention import build_retention, no_retention, write_retention
from analysis.tables.secrets import write_secrets
from analysis.tables.stacks import ThreadInsight, write_stack_objects, write_stacks, write_threads
from analysis.tables.symbols import write_symbols
from analysis.tables.types import ModuleUse, write_fields, write_types

#: Called with stage, fraction of the stage (0 to 1) and a short text.
Progress = Callable[[str, float, str], None]
STAGES = ("open", "runtime", "heap", "types", "retention", "secrets", "threads", "write")
_SECONDS_BETWEEN_REPORTS = 0.2


class _Clock:
    """Reports stages as they begin and keeps how long each took."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._name, self._since, self._told = progress, "", time.perf_counter(), 0.0
        self.stages: list[tuple[str, float]] = []

    def begin(self, name: str, detail: str = "") -> None:
        now = time.perf_counter()
        if self._name:
            self.stages.append((self._name, now - self._since))
        self._name, self._since = name, now
        if name:
            self._progress(name, 0.0, detail)

    def within(self, fraction: float, detail: str = "") -> None:
        """Progress inside the stage, passed on at most five times a second."""
        now = time.perf_counter()
        if now - self._told >= _SECONDS_BETWEEN_REPORTS:
            self._told = now
            self._progress(self._name, fraction, detail)


def analyse(path: Path, out: Path, progress: Progress) -> None:
    """Write the index of the dump ``path`` into the directory ``out``. Raises the family of ``analysis.errors``."""
    clock = _Clock(progress)
    clock.begin("open", f"{path.stat().st_size:,} bytes")
    dump = Dump(path)
    clock.begin("runtime")
    runtime = dump.runtime
    clock.begin("heap", f".NET {runtime.version}, {len(runtime.modules):,} modules")
    walked = dump.walk(clock.within)
    writer = IndexWriter(out, ENGINE_VERSION)
    clock.begin("types", f"{len(walked.types):,} types of {walked.object_count:,} objects" if walked else "no heap in this dump")
    use, without_fields = _write_heap(writer, dump, walked, clock)
    clock.begin("retention")
    execution = Execution(dump, walked, _write_retention(writer, dump, walked, clock))
    _write_contents(writer, execution)
    clock.begin("secrets")
    write_secrets(writer, find_secrets(dump, walked, execution.strings, execution.retention))
    clock.begin("threads", f"{len(dump.threads.threads):,} threads")
    _write_execution(writer, execution, clock)
    write_modules(writer, dump, use)
    write_native_modules(writer, dump)
    write_symbols(writer, dump)
    clock.begin("write")
    writer.facts("coverage", build_coverage(execution, without_fields))
    clock.begin("")
    writer.facts("summary", build_summary(dump, walked, clock.stages))
    writer.finish()
    progress("write", 1.0, "")


def _write_heap(writer: IndexWriter, dump: Dump, walked: HeapWalk | None, clock: _Clock) -> tuple[ModuleUse | None, int]:
    heap = dump.gc_heap
    objects = walked.columns if walked else None
    if not isinstance(heap, AnalysisError):
        write_segments(writer, heap, objects)
    if walked is None or objects is None:
        return None, 0
    instances = group_instances(walked.types, objects)
    use = write_types(writer, dump, walked, objects, instances)
    clock.within(0.2, "fields")
    without_fields = write_fields(writer, dump, walked, lambda fraction: clock.within(0.2 + 0.6 * fraction, "fields"))
    clock.within(0.8, "objects")
    write_objects(writer, objects, instances, walked.gaps)
    return use, without_fields


def _write_retention(writer: IndexWriter, dump: Dump, walked: HeapWalk | None, clock: _Clock) -> Retention | None:
    """The graph, or the reason why there is none: too much of it to number is no reason to lose all other answers."""
    if walked is None or not walked.object_count:
        writer.facts("retention", no_retention("There is no heap in this dump, so no references between objects either."))
        return None
    try:
        retention = Retention(dump, walked, clock.within)
    except AnalysisError as error:
        writer.facts("retention", no_retention(str(error)))
        return None
    clock.within(0.9, "tables")
    write_retention(writer, retention)
    retention.forget_written()
    return retention


def _write_contents(writer: IndexWriter, execution: Execution) -> None:
    """Strings and collections, and the facts of the graph, which count them."""
    if execution.retention and execution.strings and execution.holders and execution.collections:
        write_collections(writer, execution.collections)
        execution.retention.problems += execution.collections.problems
        facts = write_strings(writer, execution.strings, execution.holders)
        writer.facts("retention", build_retention(execution.retention, facts))


def _write_execution(writer: IndexWriter, execution: Execution, clock: _Clock) -> None:
    dump, merged = execution.dump, execution.merged
    methods = MethodRows(dump.runtime.modules)
    write_stacks(writer, dump, methods)
    write_stack_objects(writer, dump, execution.walked)
    write_merged_stacks(writer, dump, merged, methods)
    clock.within(0.4, "exceptions")
    write_exceptions(writer, dump, execution.exceptions, methods)
    writer.facts("crash", build_crash(dump, execution.crash))
    clock.within(0.6, "locks")
    write_locks(writer, execution.graph, execution.cycles, execution.first_frames)
    own = [execution.frame_row(row, place) for row, place in enumerate(merged.own_frame)]
    write_threads(writer, dump, ThreadInsight(merged.group, merged.leaf, own, execution.doing))
    methods.write(writer)
    clock.within(0.9, "findings")
    writer.facts("findings", build_findings(diagnose(execution, RULES)))

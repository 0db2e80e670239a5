"""Make the scrubbed copy of one dump: read it, share its bytes out among rules, copy what they keep, write it down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.errors import AnalysisError, Corrupt, Unsupported
from analysis.heap.walk import HeapWalk
from analysis.kernels import scrub as kernels
from analysis.memory.reader import Memory
from analysis.runtime.code import CodeMap
from analysis.scrub.certificate import Certificate
from analysis.scrub.container import Container, container
from analysis.scrub.images import headers_of_files, managed_images, native_images
from analysis.scrub.intervals import Intervals, intervals, total
from analysis.scrub.ledger import Claim, Ledger, Treatment
from analysis.scrub.loader_heaps import loader_heaps
from analysis.scrub.objects import copy_objects, heap_spans, refuse_what_cannot_be_copied
from analysis.scrub.reads import RememberingMemory, read_addresses
from analysis.scrub.runtime_objects import numbers_for_other_readers
from analysis.scrub.stacks import stacks
from analysis.scrub.statics import number_statics
from analysis.scrub.structures import ModulePaths, module_paths, named_variables, read_structures, with_whole_pointers
from analysis.scrub.write import fingerprints, new_file
from analysis.tables.facts import ENGINE_VERSION

#: Called with stage, fraction of the stage (0 to 1) and a short text.
Progress = Callable[[str, float, str], None]
_PAGE, _WORD = 0x1000, 8
#: More addresses than this no process has: among so many nearly every number would pass for a pointer.
_MOST_ADDRESSES = 16 << 40
#: What a word on a stack becomes that is neither zero nor a pointer.
_MARK = np.uint64(0x0DEFACED0DEFACED)


def scrub(path: Path, out: Path, certificate: Path, progress: Progress) -> None:
    """Write the copy of ``path`` to ``out`` and what it still holds to ``certificate``. Raises the family of ``analysis.errors``,
    and leaves no file then."""
    progress("open", 0.0, f"{path.stat().st_size:,} bytes")
    dump = Dump(path, RememberingMemory)
    walked = _opened(dump)
    progress("structures", 0.0, f".NET {dump.runtime.version}")
    ledger = Ledger(dump.core.size_bytes)
    read_structures(dump, walked)
    known = known_ranges(dump)
    notes, paths = container(dump, known), module_paths(dump)
    claims = share_out(dump, walked, ledger, known, notes, paths)
    progress("copy", 0.0, "")
    with new_file(out, dump.core.size_bytes) as (copied, finish):
        _copy(dump, walked, claims, known, copied, ledger)
        _fill(dump.core.memory, notes, paths, copied)
        ledger.check()
        progress("certificate", 0.0, "")
        original, result = fingerprints(path, dump.core.size_bytes, copied)
        told = Certificate(ENGINE_VERSION, dump.runtime.version, dump.kind, original, result, ledger)
        certificate.write_text(json.dumps(told.as_dict(), indent=1))
        finish()
    progress("certificate", 1.0, "")


def _opened(dump: Dump) -> HeapWalk | None:
    """The walked heap, None for a dump without one. Raises AnalysisError for a dump that is not whole or not understood."""
    segments = dump.core.memory.segments
    if segments.truncated:
        lost = sum(end - start for start, end in segments.truncated)
        raise Corrupt(f"the file ends early: {lost:,} bytes of the process are missing, so no scrubbed copy can be made")
    if segments.overlaps:
        raise Corrupt("two parts of the file claim the same addresses, so no scrubbed copy can be made")
    spans = np.column_stack([segments.offsets, segments.offsets + segments.ends - segments.starts])
    if total(intervals(spans)) != total(spans):
        raise Corrupt("two ranges of addresses lie in the same bytes of the file, so no scrubbed copy can be made")
    doubts = [*dump.runtime.failed_checks, *([dump.threads.problem] if dump.threads.problem else [])]
    if doubts:
        raise Unsupported("the runtime is not understood well enough to make a scrubbed copy", where=doubts[0][:500])
    walked = dump.walk()
    if walked is not None:
        refuse_what_cannot_be_copied(dump, walked)
    return walked


def known_ranges(dump: Dump) -> Intervals:
    """Addresses the process had, as far as the dump tells: captured, left out, shown from a file, part of the heap, or of an
    object that a method holds. Raises Corrupt for more of them than a process can have."""
    table = dump.core.memory.segments
    # A stack that overflowed is pointed to from a page below it.
    captured = np.column_stack([table.starts - _PAGE, table.ends])
    # Whole images: a writer may leave out rows in the middle of one.
    rows = [*((row.start, row.end) for row in dump.core.mappings), *((image.base, image.end) for image in dump.images)]
    mapped = [row for row in rows if row[1] < 1 << 62]
    heap = dump.gc_heap
    segments = [] if isinstance(heap, AnalysisError) else heap.segments
    spans = [(segment.start, max(segment.end, segment.committed_end)) for segment in segments]
    # A triage dump does not say where the heap was.
    references = (one for stack in dump.stacks for frame in stack.frames for one in frame.objects)
    # What an interior one points at may be no part of an object, and the number no address.
    held = {one.object for one in references if one.precise and not one.interior}
    objects = [(address, address + _WORD) for address in held]
    known = intervals(np.concatenate([captured, *map(intervals, (table.absent, mapped, spans, objects))]))
    if total(known) > _MOST_ADDRESSES:
        raise Corrupt(f"the process is said to have had {total(known):,} bytes of addresses, so no scrubbed copy can be made")
    return known


def share_out(
    dump: Dump, walked: HeapWalk | None, ledger: Ledger, known: Intervals, notes: Container, paths: ModulePaths
) -> list[Claim]:
    """Every byte of the file under one rule. The first claim counts: what wipes comes before what keeps."""
    memory = dump.core.memory
    structures = with_whole_pointers(memory, read_addresses(memory), known)
    # Without its heap a dump holds some pages of them, which may be those of static fields and not those of their types.
    modules = dump.runtime.modules if walked is not None else []
    heaps = loader_heaps(dump.runtime.target, [module.address for module in modules])
    if walked is not None and not len(heaps.blocks):
        raise Unsupported("the memory in which the runtime keeps its types was not found, so no scrubbed copy can be made")
    images, found = managed_images(dump), stacks(dump)
    types = walked.types.method_tables[1:] if walked else []
    in_memory = (
        ("literals, constants and attributes in metadata", Treatment.WIPE, images.data),
        ("numbers in static fields", Treatment.WIPE, number_statics(dump, types, heaps.blocks)),
        ("names of files in paths of modules", Treatment.COPY, paths.names),
        ("metadata of modules", Treatment.COPY, images.metadata),
        ("headers of images", Treatment.COPY, images.headers),
        ("tables of precompiled code", Treatment.COPY, images.code_tables),
        ("headers of other mapped images", Treatment.COPY, headers_of_files(dump)),
        ("marks of frames and exceptions on stacks", Treatment.COPY, found.marks),
        ("stacks below the stack pointer", Treatment.WIPE, found.unused),
        ("stacks", Treatment.STACK, found.used),
        ("structures of the runtime", Treatment.COPY, structures),
        ("maps of compiled code", Treatment.COPY, intervals(CodeMap(dump.runtime.target).maps())),
        ("variables of the runtime that its table for debuggers names", Treatment.COPY, named_variables(dump)),
        ("numbers of the runtime for other readers", Treatment.COPY, numbers_for_other_readers(dump)),
        ("lists of the runtime's loader heaps", Treatment.COPY, heaps.lists),
        ("types and methods in the runtime's loader heaps", Treatment.COPY, heaps.blocks),
        ("native libraries, read-only parts", Treatment.COPY, native_images(dump)),
    )
    claims = [ledger.claim(rule, Treatment.COPY, spans) for rule, spans in (
        ("headers of the file", notes.headers), ("notes of threads, process and mapped files", notes.notes),
        ("registers that are pointers", notes.registers), ("names of mapped files", notes.names),
    )]  # fmt: skip
    if walked is not None:
        claims.append(ledger.claim("contents of objects and unused parts of the heap", Treatment.OBJECTS, heap_spans(dump)))
    claims += [ledger.claim(rule, how, in_file(memory, addresses)) for rule, how, addresses in in_memory]
    rest = np.column_stack([memory.segments.starts, memory.segments.ends])
    return [*claims, ledger.claim("all other memory", Treatment.POINTERS, in_file(memory, rest)), ledger.rest()]


def in_file(memory: Memory, addresses: Intervals) -> Intervals:
    """Bytes of the file that hold these addresses."""
    found = [
        (offset, offset + right - left)
        for start, end in addresses.tolist()
        for left, right, offset in memory.segments.between(start, end)
    ]
    return intervals(found)


def _copy(
    dump: Dump, walked: HeapWalk | None, claims: list[Claim], known: Intervals, copied: npt.NDArray[np.uint8], ledger: Ledger
) -> None:
    words = dump.core.memory.words()
    octets, target = dump.core.memory.octets, copied[: 8 * len(words)].view(np.uint64)
    starts, ends = np.ascontiguousarray(known[:, 0]), np.ascontiguousarray(known[:, 1])
    for claim in claims:
        size, kept = total(claim.spans), 0
        if claim.treatment is Treatment.OBJECTS and walked is not None:
            copy_objects(dump, walked, claim, copied, ledger)
            continue
        if claim.treatment is Treatment.COPY:
            for first, last in claim.spans.tolist():
                copied[first:last] = octets[first:last]
            kept = size
        elif claim.treatment in (Treatment.POINTERS, Treatment.STACK):
            mark = _MARK if claim.treatment is Treatment.STACK else np.uint64(0)
            kept = 8 * sum(
                kernels.copy_pointers(words, target, (first + 7) // 8, last // 8, starts, ends, mark)
                for first, last in claim.spans.tolist()
            )
        ledger.enter(claim.rule, kept, size - kept)


def _fill(memory: Memory, notes: Container, paths: ModulePaths, copied: npt.NDArray[np.uint8]) -> None:
    """Slashes where directories stood."""
    places = [*notes.fills]
    for address, text in paths.fills:
        for left, right, offset in memory.segments.between(address, address + len(text)):
            places.append((offset, text[left - address : right - address]))
    for offset, text in places:
        copied[offset : offset + len(text)] = np.frombuffer(text, np.uint8)

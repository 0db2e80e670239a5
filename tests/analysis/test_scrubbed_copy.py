"""A scrubbed copy of the bundled dumps: what it keeps, that it is the same every time, and that it depends on no value."""

from __future__ import annotations

import errno
import hashlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.dump import Dump
from analysis.errors import AnalysisError, MemoryFault
from analysis.memory.elf_core import NOTE_FILES, open_elf_core
from analysis.reference_facts import reference_facts
from analysis.runtime.code import CodeMap, UnwindEntry
from analysis.runtime.loader import Module
from analysis.runtime.statics import StaticFields
from analysis.runtime.unwind import REGISTERS, Registers, Unwinder
from analysis.scrub import copying
from analysis.scrub.images import managed_images
from analysis.scrub.intervals import Intervals, contains, intervals, subtract, total
from analysis.scrub.loader_heaps import LoaderHeaps, loader_heaps
from analysis.scrub.objects import OBJECT_RULES
from analysis.scrub.reads import RememberingMemory, read_addresses
from analysis.scrub.stacks import stacks
from analysis.scrub.statics import number_statics
from analysis.scrub.structures import module_paths, named_variables
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.reference_dumps import ReferenceDump
from tests.analysis.scrubbed import (
    FOR_OTHER_READERS,
    KEEPING,
    MISSED_RULES,
    WIPING,
    Copy,
    differences,
    make_copy,
    places_left,
    refill,
    texts_left,
    told_payload,
    without,
)  # fmt: skip
from tests.analysis.synthetic_core import SyntheticCore
from tests.goals import Goals

_MARK = struct.pack("<Q", 0x0DEFACED0DEFACED)


@dataclass(frozen=True)
class Scrubbed:
    original: Path
    copy: Copy
    directory: Path


@pytest.fixture(scope="module", params=["zoo-net8", "finalizer-net9", "zoo-net10", "zoo-mini-net10"])
def scrubbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scrubbed]:
    directory = tmp_path_factory.mktemp("scrubbed")
    original = bundled_dump(request.param)
    yield Scrubbed(original, make_copy(original, directory), directory)
    for path in directory.iterdir():
        path.unlink()


def test_every_real_dump_keeps_its_structure_and_no_value(reference: ReferenceDump, tmp_path: Path, goals: Goals) -> None:
    """Values in samples of the reference reader are replaced at random, too: the copy of that stays the same, byte for byte."""
    copy, payload = make_copy(reference.path, tmp_path), told_payload(reference.oracle)
    found = differences(reference_facts(Dump(reference.path)), reference_facts(Dump(copy.path)))
    texts = texts_left(copy.path) + places_left(reference.path, copy.path)
    goals.count("G26 scrubbed copy: structure equal by our facts", not found, 1)
    other = tmp_path / "refilled.dmp"
    if filled := refill(reference.path, other, payload, seed=len(payload)):
        same = make_copy(other, tmp_path, "other").certificate["result"] == copy.certificate["result"]
        goals.count("G26 scrubbed copy: pairs without a difference", same, 1)
    for path in tmp_path.iterdir():
        path.unlink()
    assert (found, texts) == ([], [])
    assert not filled or same


def test_every_frame_lies_on_what_is_known_as_a_stack(reference: ReferenceDump) -> None:
    """Also after an overflow, when the stack pointer lies on the stack of the signal's handler."""
    dump = Dump(reference.path)
    places = np.array([frame.sp for stack in dump.stacks for frame in stack.frames], np.uint64)
    captured = np.column_stack([dump.core.memory.segments.starts, dump.core.memory.segments.ends])
    assert not np.count_nonzero(contains(captured, places) & ~contains(stacks(dump).used, places))


def test_kept_and_wiped_add_up(scrubbed: Scrubbed) -> None:
    told = scrubbed.copy.certificate
    assert told["kept_bytes"] + told["wiped_bytes"] == scrubbed.original.stat().st_size == scrubbed.copy.path.stat().st_size
    assert told["wiped_bytes"] > 0.2 * told["original"]["size_bytes"]
    assert told["result"]["sha256"] == hashlib.sha256(scrubbed.copy.path.read_bytes()).hexdigest()
    assert told["original"]["sha256"] == hashlib.sha256(scrubbed.original.read_bytes()).hexdigest()


def test_a_copy_of_the_copy_is_the_copy(scrubbed: Scrubbed, goals: Goals) -> None:
    again = make_copy(scrubbed.copy.path, scrubbed.directory, "again")
    same = again.certificate["result"] == scrubbed.copy.certificate["result"]
    goals.count("G26 scrubbed copy: a copy of the copy is the same", same, 1)
    assert same


def test_no_text_that_the_reference_reader_saw_is_left(scrubbed: Scrubbed) -> None:
    """Longer texts of the heap, except those that are names in metadata or of files as well."""
    answers = json.loads(scrubbed.original.with_suffix(".oracle.json").read_text())
    raw = scrubbed.copy.path.read_bytes()
    texts = {one["value"] for one in answers["strings_sample"] if len(one["value"]) >= 12 and one["value"].isprintable()}
    assert not [text for text in texts if text.encode("utf-16-le") in raw and f"/{text}".encode("utf-16-le") not in raw]
    names = {text for text in texts if text.encode() in raw}
    assert all(" " not in name for name in names), names


def test_no_directory_is_left(scrubbed: Scrubbed) -> None:
    raw = scrubbed.copy.path.read_bytes()
    for directory in ("/opt/demo", "/usr/share/dotnet", "/home/app", "/usr/lib/x86_64"):
        assert directory.encode("utf-16-le") not in raw
        assert f"{directory}/scenarios".encode() not in raw


#: What is kept whole for readers that look further than this one: where it lies, and a dump in which no other rule keeps it.
_WHOLE: dict[str, tuple[Callable[[Dump], Intervals], str]] = {
    "variables of the runtime that its table for debuggers names": (named_variables, "zoo-net10"),
    "names of files in paths of modules": (lambda dump: module_paths(dump).names, "zoo-mini-net10"),
    "maps of compiled code": (lambda dump: intervals(CodeMap(dump.runtime.target).maps()), "zoo-mini-net10"),
    "headers of images": (lambda dump: managed_images(dump).headers, "zoo-net10"),
    "tables of precompiled code": (lambda dump: managed_images(dump).code_tables, "zoo-net10"),
    "lists of the runtime's loader heaps": (lambda dump: _heaps(dump).lists, "zoo-net10"),
    "types and methods in the runtime's loader heaps": (lambda dump: _heaps(dump).blocks, "zoo-net10"),
}


def _heaps(dump: Dump) -> LoaderHeaps:
    return loader_heaps(dump.runtime.target, [module.address for module in dump.runtime.modules])


def _changed(original: Path, copy: Path, rule: str) -> bool:
    """Whether bytes that a rule keeps are others in the copy, apart from static numbers among them."""
    dump = Dump(original)
    walked, places = dump.walk(), _WHOLE[rule][0](dump)
    numbers = number_statics(dump, walked.types.method_tables[1:] if walked else [], _heaps(dump).blocks)
    spans = copying.in_file(dump.core.memory, subtract(places, numbers))
    assert total(spans) > 500
    before, after = np.fromfile(original, np.uint8), np.fromfile(copy, np.uint8)
    return any(not np.array_equal(before[first:last], after[first:last]) for first, last in spans.tolist())


@pytest.mark.parametrize("rule", _WHOLE)
def test_what_is_kept_whole_is_another_without_its_rule(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goals: Goals
) -> None:
    original = bundled_dump(_WHOLE[rule][1])
    assert not _changed(original, make_copy(original, tmp_path).path, rule)
    monkeypatch.setattr(copying, "Ledger", without(rule))
    missed = _changed(original, make_copy(original, tmp_path).path, rule)
    goals.count(MISSED_RULES, missed, 1)
    assert missed


def test_without_the_rule_of_stacks_words_that_are_no_pointers_look_like_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goals: Goals
) -> None:
    original = bundled_dump("zoo-mini-net10")
    copies = [make_copy(original, tmp_path, "with").path]
    monkeypatch.setattr(copying, "Ledger", without("stacks"))
    copies.append(make_copy(original, tmp_path, "without").path)
    marked = [copy.read_bytes().count(_MARK) > 100 for copy in copies]
    goals.count(MISSED_RULES, marked == [True, False], 1)
    assert marked == [True, False]


def test_metadata_is_named_as_such(scrubbed: Scrubbed) -> None:
    """It would be kept anyhow, as something that was read."""
    kept = {row["rule"]: row["kept_bytes"] for row in scrubbed.copy.certificate["rules"]}
    assert kept["metadata of modules"] > 100_000


def test_without_structural_fields_collections_have_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goals: Goals
) -> None:
    original = bundled_dump("zoo-net10")
    monkeypatch.setattr("analysis.scrub.objects.is_structural", lambda *_: False)
    copy = make_copy(original, tmp_path)
    found = differences(reference_facts(Dump(original)), reference_facts(Dump(copy.path)))
    goals.count(MISSED_RULES, bool(found), 1)
    assert found


@pytest.mark.parametrize("rule", KEEPING)
def test_without_a_rule_that_keeps_the_structure_is_another(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goals: Goals
) -> None:
    """On a small dump: what the copy lacks then, or that none is made or can be opened."""
    original = bundled_dump("zoo-mini-net10")
    monkeypatch.setattr(copying, "Ledger", without(rule))
    try:
        copy = make_copy(original, tmp_path)
        found = differences(reference_facts(Dump(original)), reference_facts(Dump(copy.path)))
    except AnalysisError as error:
        found = [str(error)]
    goals.count(MISSED_RULES, bool(found), 1)
    assert found


def test_every_rule_is_taken_away_by_a_test(scrubbed: Scrubbed) -> None:
    told = {row["rule"] for row in scrubbed.copy.certificate["rules"]}
    taken_away = {*_WHOLE, *KEEPING, *WIPING, *FOR_OTHER_READERS, "stacks", "metadata of modules"}
    assert told - taken_away <= {*OBJECT_RULES}
    assert taken_away - {"contents of objects and unused parts of the heap"} <= told


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
def test_a_file_that_ends_early_is_refused(cut: float, tmp_path: Path) -> None:
    whole = bundled_dump("zoo-net10").read_bytes()
    _refused(whole[: int(cut * len(whole))], tmp_path, "ends early")


def test_a_heap_with_damage_is_refused(tmp_path: Path) -> None:
    whole = np.fromfile(bundled_dump("zoo-net10"), np.uint8)
    dump = Dump(bundled_dump("zoo-net10"))
    walked = dump.walk()
    assert walked is not None
    address = int(walked.columns.address[len(walked.columns.address) // 2])
    _, _, offset = dump.core.memory.segments.between(address, address + 8)[0]
    whole[offset : offset + 8] = 0xFF
    _refused(whole.tobytes(), tmp_path, "hold no understood objects")


def test_a_mapped_file_without_end_is_refused(tmp_path: Path) -> None:
    """Nearly every word would pass for a pointer into it."""
    whole = np.fromfile(bundled_dump("zoo-mini-net10"), np.uint8)
    (note,) = (note for note in Dump(bundled_dump("zoo-mini-net10")).core.notes if note.kind == NOTE_FILES)
    struct.pack_into("<2Q", whole, note.body + 16, 0x1000, 1 << 61)
    _refused(whole.tobytes(), tmp_path, "bytes of addresses")


@pytest.mark.parametrize(("field", "value"), [("EndAddress", 1 << 53), ("HeaderMap", 1 << 63)])
def test_a_map_of_code_without_end_or_place_is_left_out(field: str, value: int, tmp_path: Path) -> None:
    original, rule = bundled_dump("zoo-mini-net10"), "maps of compiled code"
    dump = Dump(original)
    target = dump.runtime.target
    at, changed_at = (target.layout.offset("CodeHeapListNode", name) for name in ("HeaderMap", field))
    whole = np.fromfile(original, np.uint8)
    words = whole[: len(whole) // 8 * 8].view(np.uint64)
    heaps = np.flatnonzero(np.isin(words, [start for start, _ in CodeMap(target).maps()]))
    words[heaps + (changed_at - at) // 8] = value
    changed = tmp_path / "in.dmp"
    changed.write_bytes(whole.tobytes())
    kept = [
        {row["rule"]: row["kept_bytes"] for row in make_copy(path, tmp_path).certificate["rules"]}[rule]
        for path in (original, changed)
    ]
    assert kept[1] < kept[0]


def test_code_behind_an_epilogue_is_not_needed(tmp_path: Path) -> None:
    """A thread was interrupted in front of it: ``add rsp, 16; pop rbp; ret``, and a constant."""
    stack = struct.pack("<4Q", 1, 2, 0x7000, 0x5008)
    core = (
        SyntheticCore()
        .segment(0x5000, b"\x48\x83\xc4\x10\x5d\xc3" + b"\x48\xb8" + b"constant" + bytes(64))
        .segment(0x9000, stack)
    )
    (tmp_path / "core").write_bytes(core.build())
    memory = open_elf_core(tmp_path / "core", RememberingMemory).memory
    registers = Registers(0x5000, [0x9000 if name == "rsp" else 0 for name in REGISTERS], [0] * len(REGISTERS))
    caller = Unwinder(memory).caller(registers, UnwindEntry(0x5000, 0, 16, 0), leaf=True)
    assert (caller.rip, caller.rbp, caller.rsp) == (0x5008, 0x7000, 0x9020)
    assert read_addresses(memory).tolist() == [[0x5000, 0x5006], [0x9010, 0x9020]]


def test_static_numbers_are_known_without_metadata() -> None:
    """Types made at run time have none."""
    found = []
    for gone in (False, True):
        dump = Dump(bundled_dump("zoo-net10"))
        for module in dump.runtime.modules if gone else ():
            module.__dict__["metadata"] = None
        heaps = loader_heaps(dump.runtime.target, [module.address for module in dump.runtime.modules])
        found.append(number_statics(dump, [], heaps.blocks))
    assert total(found[0]) > 200
    assert np.array_equal(*found)


def test_a_dump_whose_static_fields_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """The descriptors of one type's fields lie nowhere: its numbers could not be told from what is kept."""
    dump = Dump(bundled_dump("zoo-net10"))
    walked, target = dump.walk(), dump.runtime.target
    assert walked is not None
    statics, instances = StaticFields(dump.runtime.types, dump.fields), set(walked.types.method_tables)
    # One without instances: fields of the others are looked at on the heap as well.
    method_table = next(
        one for one in statics.types_with_statics()
        if one not in instances and statics.base_of_numbers(one) and dump.fields.number_statics(one)
    )  # fmt: skip
    list_at = dump.runtime.types.info(method_table).ee_class + target.layout.offset("EEClass", "FieldDescList")
    _, _, offset = dump.core.memory.segments.between(list_at, list_at + 8)[0]
    whole = np.fromfile(bundled_dump("zoo-net10"), np.uint8)
    whole[offset : offset + 8] = 0x11
    _refused(whole.tobytes(), tmp_path, "static fields")


def test_a_small_dump_keeps_no_static_numbers_and_need_not_tell_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds pages of types as the runtime touched them: a type may be missing, and its numbers there."""
    pages = intervals(
        [(start, end) for start, end, _ in Dump(bundled_dump("zoo-mini-net10")).core.memory.segments.between(0, 1 << 47)]
    )
    monkeypatch.setattr(copying, "loader_heaps", lambda target, modules: LoaderHeaps(pages if modules else pages[:0], pages[:0]))
    monkeypatch.setattr(StaticFields, "base_of_numbers", _not_there)
    kept = {row["rule"]: row["kept_bytes"] for row in make_copy(bundled_dump("zoo-mini-net10"), tmp_path).certificate["rules"]}
    assert kept["types and methods in the runtime's loader heaps"] == 0


def test_a_small_dump_need_not_hold_the_metadata_of_every_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a module made at run time lies in memory that the writer may have left out."""
    told, last = Module.metadata_place, Dump(bundled_dump("zoo-mini-net10")).runtime.modules[-1].address
    monkeypatch.setattr(
        Module, "metadata_place", property(lambda module: _not_there() if module.address == last else told.fget(module))
    )
    assert make_copy(bundled_dump("zoo-mini-net10"), tmp_path).path.exists()


def _not_there(*_: object) -> int:
    raise MemoryFault(0, 8, "not_captured")


def test_more_segments_than_the_header_counts_are_counted_in_the_copy_too(tmp_path: Path) -> None:
    whole = bytearray(bundled_dump("zoo-mini-net10").read_bytes())
    (count,) = struct.unpack_from("<H", whole, 56)
    struct.pack_into("<Q", whole, 40, len(whole))
    struct.pack_into("<H", whole, 56, 0xFFFF)
    (tmp_path / "in.dmp").write_bytes(whole + struct.pack("<44xI16x", count))
    copy = make_copy(tmp_path / "in.dmp", tmp_path)
    assert len(Dump(copy.path).stacks) == len(Dump(bundled_dump("zoo-mini-net10")).stacks)


def test_a_full_disk_is_said_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        make_copy(bundled_dump("zoo-mini-net10"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_dump_is_refused(tmp_path: Path) -> None:
    _refused(b"just a text\n" * 1000, tmp_path, ".")


def _refused(raw: bytes, directory: Path, what: str) -> None:
    """The command says why, and leaves neither a copy nor a part of one."""
    dump, out, certificate = (directory / name for name in ("in.dmp", "out.dmp", "out.json"))
    dump.write_bytes(raw)
    with pytest.raises(AnalysisError, match=what):
        make_copy(dump, directory, "out")
    assert main(["scrub", str(dump), "--out", str(out), "--certificate", str(certificate)]) == 3
    assert sorted(path.name for path in directory.iterdir()) == ["in.dmp"]

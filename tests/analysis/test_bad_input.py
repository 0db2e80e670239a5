"""Whatever a file is, the engine ends in seconds: refused with what, where and remedy, or with an index whose coverage
names the gap. Never a traceback, never a hang."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.dump import Dump
from analysis.index import Index, open_index
from analysis.runtime.gc_heap import GcHeap
from tests.analysis.bundled_dumps import bundled_dump
from tests.analysis.public_files import public_files
from tests.analysis.synthetic_core import SyntheticCore

_SECONDS = 30


def _analyse(path: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any] | Index:
    """The error of a refused file, or the index of one that was read."""
    began = time.monotonic()
    code = main([str(path), "--out", str(out)])
    assert time.monotonic() - began < _SECONDS
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    if code == 0:
        assert last == {"done": True}
        return open_index(out)
    assert code == 3
    error: dict[str, Any] = last["error"]
    assert error["what"]
    return error


def _refused(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    found = _analyse(path, tmp_path / "index", capsys)
    assert isinstance(found, dict)
    return " ".join(found[key] for key in ("what", "where", "remedy"))


def _coverage(index: dict[str, Any] | Index, topic: str) -> dict[str, str]:
    assert isinstance(index, Index), index
    return next(item for item in index.facts("coverage")["items"] if item["topic"] == topic)


def _with_file(mapped: str) -> bytes:
    """A core that shows one mapped file, whose pages it does not hold."""
    return SyntheticCore().segment(0x9000, bytes(64)).file_note([(0x1000, 0x2000, 0, mapped)]).build()


_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"this is not a dump\n" * 50, "text"),
    "random": (random.Random(1).randbytes(20_000), "no dump format"),
    "executable": (Path(sys.executable).read_bytes()[:100_000], "not a dump"),
    "core of 32 bits": (SyntheticCore(word_class=1).segment(0x1000, bytes(64)).build(), "32-bit"),
    "core of arm64": (SyntheticCore(machine=183).segment(0x1000, bytes(64)).build(), "arm64"),
    "big-endian core": (SyntheticCore(byte_order=2).segment(0x1000, bytes(64)).build(), "big-endian"),
    "core without modules": (SyntheticCore().segment(0x1000, bytes(64)).thread_note(7).build(), "no list of mapped files"),
    "core without .NET": (_with_file("/usr/bin/python3"), "no .NET runtime"),
    ".NET Core 3.1": (_with_file("/usr/share/dotnet/shared/Microsoft.NETCore.App/3.1.32/libcoreclr.so"), ".NET Core 3.1"),
    "runtime pages absent": (_with_file("/usr/share/dotnet/shared/Microsoft.NETCore.App/8.0.4/libcoreclr.so"), "createdump"),
    "no memory": (SyntheticCore().segment(0x1000, b"", 4096).build(), "no memory"),
    "Windows minidump": (b"MDMP\x93\xa7" + bytes(200), "minidump"),
    "gcdump": (struct.pack("<I", 20) + b"!FastSerialization.1" + bytes(100), "recognised"),
    "archive": (gzip.compress(SyntheticCore().segment(0x1000, bytes(64)).build()), "Unpack"),
}  # fmt: skip


@pytest.mark.parametrize("name", _FILES)
def test_files_that_are_no_readable_dump(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = _FILES[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    assert words in _refused(path, tmp_path, capsys)


def test_every_public_file_opens_or_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The corpus lies beside the project; where it is absent there is nothing to walk, and the run says so."""
    files = public_files()
    opened = [path.name for n, path in enumerate(files) if isinstance(_analyse(path, tmp_path / f"index-{n}", capsys), Index)]
    with capsys.disabled():
        print(f"\n{len(files)} public files tried, {len(opened)} opened: {opened}")


@pytest.mark.parametrize("segments", [10_000, 60_000])
def test_many_segments(segments: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core = SyntheticCore()
    for number in range(segments):
        core.segment(0x10000 + 0x1000 * number, bytes(8))
    path = tmp_path / "file"
    path.write_bytes(core.build())
    assert "no list of mapped files" in _refused(path, tmp_path, capsys)


@pytest.mark.parametrize("field", [8, 16, 32, 40])
def test_sizes_that_wrap(field: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(SyntheticCore().segment(0x1000, bytes(64)).segment(0x3000, bytes(64)).build())
    struct.pack_into("<Q", raw, 64 + 2 * 56 + field, 0xFFFF_FFFF_FFFF_F000)
    path = tmp_path / "file"
    path.write_bytes(raw)
    assert _refused(path, tmp_path, capsys)


@pytest.mark.parametrize("percent", [1, 50, 99])
def test_truncated_dumps(percent: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = bundled_dump("finalizer-net9")
    path = tmp_path / "file"
    shutil.copyfile(source, path)
    with path.open("r+b") as file:
        file.truncate(source.stat().st_size * percent // 100)
    found = _analyse(path, tmp_path / "index", capsys)
    if isinstance(found, Index):
        assert _coverage(found, "memory")["state"] == "partial"
        assert "ends early" in _coverage(found, "memory")["title"]


def _heap_of(dump: Dump) -> GcHeap:
    assert isinstance(dump.gc_heap, GcHeap)
    return dump.gc_heap


def _generation_2(dump: Dump) -> int:
    """File offset of a page in the middle of generation 2."""
    segment = max((s for s in _heap_of(dump).segments if s.kind == "Generation2"), key=lambda s: s.end - s.start)
    address = ((segment.start + segment.end) // 2) & ~0xFFF
    start, _, offset = dump.core.memory.segments.between(address, address + 4096)[0]
    return offset + address - start


def _zero_page(dump: Dump) -> list[tuple[int, bytes]]:
    return [(_generation_2(dump), bytes(4096))]


def _random_page(dump: Dump) -> list[tuple[int, bytes]]:
    return [(_generation_2(dump), random.Random(2).randbytes(4096))]


def _broken_method_table(dump: Dump) -> list[tuple[int, bytes]]:
    address = dump.runtime.types.string_method_table
    start, _, offset = dump.core.memory.segments.between(address, address + 64)[0]
    return [(offset + address - start, b"\xff" * 64)]


def _broken_thread_list(dump: Dump) -> list[tuple[int, bytes]]:
    address = dump.threads.threads[1].address + dump.runtime.target.layout.offset("Thread", "LinkNext")
    start, _, offset = dump.core.memory.segments.between(address, address + 8)[0]
    return [(offset + address - start, (0x1234).to_bytes(8, "little"))]


def _unmapped_segment_record(dump: Dump) -> list[tuple[int, bytes]]:
    variables = dump.runtime.target.global_pointer("GCDacGlobals")
    address = dump.runtime.target.pointer(variables, "GcDacVars", "AllocAllocated")
    start, _, offset = dump.core.memory.segments.between(address, address + 8)[0]
    return [(offset + address - start, b"\xff" * 8)]


@pytest.mark.parametrize(
    ("damage", "topic"),
    [
        (_zero_page, "heap"), (_random_page, "heap"), (_broken_method_table, "heap"), (_broken_thread_list, "threads"),
        (_unmapped_segment_record, "heap"),
    ],
)  # fmt: skip
def test_damage_is_named_and_the_rest_is_read(
    damage: Callable[[Dump], list[tuple[int, bytes]]], topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = bundled_dump("zoo-net10")
    path = tmp_path / "file"
    shutil.copyfile(source, path)
    with path.open("r+b") as file:
        for offset, content in damage(Dump(source)):
            file.seek(offset)
            file.write(content)
    found = _analyse(path, tmp_path / "index", capsys)
    item = _coverage(found, topic)
    assert item["state"] == "partial" and item["reason"]
    assert isinstance(found, Index) and (topic != "heap" or found.rows["objects"] > 3000)


def test_random_damage_never_ends_in_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = bundled_dump("zoo-mini-net10")
    whole = source.read_bytes()
    for seed in range(12):
        dice = random.Random(seed)
        raw = bytearray(whole)
        for _ in range(dice.choice((3, 300, 30_000))):
            at = dice.randrange(64 if seed % 3 else 0, len(raw) - 8)
            raw[at : at + 8] = dice.randbytes(8)
        path = tmp_path / "file"
        path.write_bytes(raw)
        _analyse(path, tmp_path / f"index-{seed}", capsys)


def test_the_command_says_it_on_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("no dump")
    child = subprocess.run(
        [sys.executable, "-m", "analysis", str(path), "--out", str(tmp_path / "out")], capture_output=True, text=True
    )
    assert child.returncode == 3
    assert set(json.loads(child.stdout.splitlines()[-1])["error"]) == {"code", "what", "where", "remedy"}
    assert child.stderr == ""

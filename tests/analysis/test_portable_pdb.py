"""Source lines: those clrstack prints, hand-made PDBs with every kind of record, and damaged ones."""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
import sys
import time
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.errors import AnalysisError, Corrupt, NotADump, OverLimit, Unsupported
from analysis.index.lines import Lines, load_lines
from analysis.index.store import IndexWriter, open_index
from analysis.limits import LIMITS
from analysis.runtime.portable_pdb import PortablePdb, read_portable_pdb
from analysis.runtime.stack_frames import FrameKind
from analysis.tables.symbols import write_symbols
from tests.analysis.fresh_dumps import LAB, unpacked_lab
from tests.analysis.reference_dumps import PROJECT, ReferenceDump, reference_dumps
from tests.analysis.synthetic_metadata import MetadataBuilder
from tests.analysis.synthetic_pdbs import GUID, POINTS, compressed, point, signed, small_pdb

_PRINTED = re.compile(r"^([0-9A-F]{16}) ([0-9A-Fa-f]{16}) (?!\[)(.*?)(?: \[([^\]]+) @ (\d+)\])?$")


def test_every_kind_of_record() -> None:
    found = read_portable_pdb(small_pdb((0, b""), (1, POINTS), (0, b"\0\2" + point(3, 0, 1, compressed(70), compressed(1)))))
    assert (found.pdb_id, found.problems) == (f"{GUID},1", ())
    lines = found.lines
    assert lines.documents == ("/src/A.cs", "/src/B.cs")
    assert lines.points.tolist() == [[0, 0, 10], [10, 0, 12], [210, 1, 300], [211, 1, 290], [3, 1, 70]]
    assert [lines.lookup(0x06000002, offset) for offset in (0, 3, 9)] == [("/src/A.cs", 10)] * 3
    assert lines.lookup(0x06000002, 10) == ("/src/A.cs", 12)
    assert lines.lookup(0x06000002, 100_000) == ("/src/B.cs", 290)
    assert lines.lookup(0x06000003, 2) is None, "nothing lies before its first point"
    assert lines.lookup(0x06000003, 3) == ("/src/B.cs", 70)
    assert lines.lookup(0x06000002, -2) == ("/src/A.cs", 10), "the prolog is the start of the method"
    absent = ((0x06000001, 0), (0x06000004, 0), (0x06FFFFFF, 0), (0x06000002, -1), (0x06000002, -3), (0x0A000002, 0), (0, 0))
    assert [lines.lookup(*place) for place in absent] == [None] * len(absent)


def test_names_of_documents() -> None:
    for name in ("/_/src/Ünïcode.cs", "C:\\a/b", "", "plain.cs", "a//b/"):
        assert read_portable_pdb(small_pdb((1, POINTS), documents=(name, "x"))).lines.documents[0] == name


def test_lines_survive_saving(tmp_path: Path) -> None:
    lines = read_portable_pdb(small_pdb((1, POINTS), (2, b""))).lines
    lines.save(tmp_path / "a.npz")
    again = load_lines(tmp_path / "a.npz")
    assert again.documents == lines.documents
    assert again.points.tolist() == lines.points.tolist()
    assert again.lookup(0x06000001, 10) == ("/src/A.cs", 12)
    read_portable_pdb(small_pdb(documents=())).lines.save(tmp_path / "empty.npz")
    assert load_lines(tmp_path / "empty.npz").lookup(0x06000001, 0) is None


def test_a_damaged_file_of_lines_is_refused(tmp_path: Path) -> None:
    lines = read_portable_pdb(small_pdb((1, POINTS))).lines
    path = tmp_path / "a.npz"
    lines.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(Corrupt):
            load_lines(path)
    forged = (
        {"points": lines.points + np.uint32(7)}, {"first": lines.first + np.uint32(1)}, {"points": lines.points[:2]},
        {"methods": lines.methods.astype(np.int64)}, {"first": lines.first[:1]}, {"documents": np.zeros(3, np.float64)},
    )  # fmt: skip
    good = {"documents": np.frombuffer(b"a\0b", np.uint8), "methods": lines.methods, "first": lines.first, "points": lines.points}
    for change in forged:
        np.savez(path, **{**good, **change})
        with pytest.raises(Corrupt):
            load_lines(path)
    np.savez(path, **{**good, "documents": np.array([{}], dtype=object)}, allow_pickle=True)
    with pytest.raises(Corrupt):
        load_lines(path)


def test_what_is_no_portable_pdb_is_named() -> None:
    plain = MetadataBuilder().build()
    for data, error, words in (
        (b"", NotADump, "no portable PDB"),
        (b"#!/bin/sh\n", NotADump, "no portable PDB"),
        (b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0", Unsupported, "Windows PDB"),
        (plain, Corrupt, "#Pdb"),
        (b"MZ", Corrupt, "ends"),
        (b"MPDB\xff\xff\xff\xff", OverLimit, "bytes"),
        (b"MPDB\x10\0\0\0" + b"\xff" * 30, Corrupt, "unpacked"),
        (b"MPDB\x10\0\0\0" + zlib.compress(b"x" * 99, wbits=-15), Corrupt, "another size"),
    ):
        with pytest.raises(error, match=re.escape(words)):
            read_portable_pdb(data)


def test_a_pdb_inside_an_image_is_unpacked() -> None:
    data = small_pdb((1, POINTS))
    packed = b"MPDB" + struct.pack("<I", len(data)) + zlib.compress(data, wbits=-15)
    assert read_portable_pdb(packed).lines.documents == ("/src/A.cs", "/src/B.cs")


def test_malformed_methods_are_left_out_and_named() -> None:
    beyond_documents = (
        b"\0" + point(0, 0, 5, compressed(10), compressed(9)) + b"\0" + compressed(9) + point(1, 0, 1, b"\2", b"\2")
    )
    below_zero = b"\0" + point(0, 0, 5, compressed(10), compressed(9)) + point(1, 0, 1, signed(-11), b"\0")
    cut_off = POINTS[:-2]
    found = read_portable_pdb(small_pdb((1, beyond_documents), (1, below_zero), (1, cut_off), (1, POINTS)))
    assert (found.lines.methods.tolist(), len(found.problems)) == ([4], 3)
    with pytest.raises(Corrupt):
        read_portable_pdb(small_pdb((1, cut_off)))


def test_a_pdb_that_uses_one_blob_again_and_again_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.runtime.portable_pdb.LIMITS", type(LIMITS)(pdb_blob_bytes=2000))
    with pytest.raises(OverLimit):
        read_portable_pdb(small_pdb(*[(1, POINTS)] * 200))


def _sources() -> list[bytes]:
    found = [small_pdb((0, b""), (1, POINTS), (2, POINTS))]
    scenarios = _lab_file("scenarios/scenarios.pdb")
    return [*found, scenarios.read_bytes()] if scenarios else found


def test_damaged_pdbs_are_refused_or_read_in_part() -> None:
    """Flipped bits, cut ends, large numbers in the place of any: an error of the family, or lines; never anything else."""
    chance = random.Random(20)
    until = time.monotonic() + 20
    for source in _sources():
        for _ in range(1500):
            damaged = bytearray(source)
            for _ in range(chance.choice((1, 1, 3, 20))):
                at = chance.randrange(len(damaged))
                if chance.random() < 0.3:
                    damaged[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"))
                else:
                    damaged[at] = chance.randrange(256)
            data = bytes(damaged[: chance.randrange(len(damaged))] if chance.random() < 0.2 else damaged)
            try:
                found = read_portable_pdb(data)
            except AnalysisError:
                continue
            assert isinstance(found, PortablePdb)
            for rid in found.lines.methods.tolist()[:20]:
                found.lines.lookup(0x06000000 | rid, 5)
    assert time.monotonic() < until


# Against clrstack


@lru_cache
def _lab_file(name: str) -> Path | None:
    return Path(unpacked_lab()) / name if LAB.exists() else None


@lru_cache
def _lines(module: str) -> Lines | None:
    """The lines of one of the lab's programs: scenarios has a PDB beside it, webshop one inside."""
    stem = module.removesuffix(".dll")
    path = _lab_file(f"{stem}/{stem}.pdb")
    path = path if path is None or path.exists() else _lab_file(f"{stem}/{module}")
    return read_portable_pdb(path.read_bytes()).lines if path else None


def _printed_lines(path: Path) -> dict[tuple[int, int], tuple[str, int] | None]:
    """(sp, ip) of the managed frames ``clrstack -all`` prints, with file and line where it has them."""
    section = path.read_text().partition("=== clrstack -all\n")[2].partition("\n=== ")[0]
    matches = [match for line in section.splitlines() if (match := _PRINTED.match(line))]
    return {(int(m[1], 16), int(m[2], 16)): (m[4], int(m[5])) if m[4] else None for m in matches}


@pytest.mark.skipif(not LAB.exists(), reason="the lab, which has the PDBs, is not beside the project")
@pytest.mark.parametrize(
    "printed", [dump for dump in reference_dumps() if dump.path.with_suffix(".sos.txt").exists()], ids=lambda dump: dump.name
)
def test_lines_equal_what_clrstack_prints(printed: ReferenceDump) -> None:
    """Every managed frame of every thread: the same file and line, or none on both sides."""
    theirs = _printed_lines(printed.path.with_suffix(".sos.txt"))
    compared = 0
    for stack in Dump(printed.path).stacks:
        for frame in stack.frames:
            if frame.kind is not FrameKind.MANAGED or frame.method is None or (frame.sp, frame.ip) not in theirs:
                continue
            module = frame.method.module
            lines = _lines(module.name) if module and module.name in ("scenarios.dll", "webshop.dll") else None
            ours = lines.lookup(frame.method.token, frame.il_offset) if lines else None
            assert ours == theirs[frame.sp, frame.ip], frame.method.name
            compared += ours is not None
    assert compared > 0 or not any(theirs.values())


def test_the_pdb_inside_a_module_is_kept_with_the_index(tmp_path: Path) -> None:
    path = next((dump.path for dump in reference_dumps() if dump.name == "web/webshop"), None)
    if path is None:
        pytest.skip("the families of dumps are not there")
    dump = Dump(path)
    writer = IndexWriter(tmp_path, "test")
    write_symbols(writer, dump)
    writer.finish()
    index = open_index(tmp_path)
    (module,) = [module for module in dump.runtime.modules if module.name == "webshop.dll"]
    assert module.code_view is not None
    lines = index.lines(module.code_view.pdb_id)
    assert lines is not None
    assert lines.documents[0] == "/src/webshop/Program.cs"
    assert [index.lines(pdb_id) for pdb_id in ("", "../../manifest", f"{GUID},1")] == [None, None, None]


# The command


def _symbols(pdb: Path, out: Path) -> tuple[int, dict[str, object]]:
    command = [sys.executable, "-m", "analysis", "symbols", str(pdb), "--out", str(out)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_the_command_keeps_lines_or_says_why_not(tmp_path: Path) -> None:
    pdb, out = tmp_path / "a.pdb", tmp_path / "a.npz"
    pdb.write_bytes(small_pdb((1, POINTS)))
    code, said = _symbols(pdb, out)
    assert (code, said["done"], said["pdb_id"], said["methods"]) == (0, True, f"{GUID},1", 1)
    assert load_lines(out).lookup(0x06000001, 0) == ("/src/A.cs", 10)
    pdb.write_bytes(b"not a PDB")
    code, said = _symbols(pdb, tmp_path / "b.npz")
    assert (code, said["error"]["code"]) == (3, "not_a_dump")  # type: ignore[index]
    assert not (tmp_path / "b.npz").exists()
    code, said = _symbols(tmp_path / "absent.pdb", out)
    assert (code, said["error"]["code"]) == (3, "io_error")  # type: ignore[index]

"""What a file is from its first bytes: every public file, real dumps, hand-made heads, random bytes."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.sniff import Sniffed, sniff
from tests.analysis.bundled_dumps import bundled_dumps
from tests.analysis.public_files import public_files

_HEAD = 1 << 20


def _sniff_file(path: Path) -> Sniffed:
    with path.open("rb") as file:
        return sniff(file.read(_HEAD), path.stat().st_size)


def _elf(kind: int = 4, machine: int = 62, bits: int = 2, order: int = 1) -> bytes:
    packed = struct.pack((">" if order == 2 else "<") + "HHI", kind, machine, 1)
    return b"\x7fELF" + bytes([bits, order, 1]) + bytes(9) + packed + bytes(40)


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


_CORE = _elf() + bytes(1000)
_MINIDUMP = b"MDMP" + struct.pack("<IIIIIQ", 0xA793, 1, 32, 0, 0, 0) + struct.pack("<III", 7, 56, 44)
_SYSTEM_INFO = struct.pack("<HHHBBIIII", 9, 6, 0, 4, 1, 10, 0, 19045, 2) + bytes(32)


@pytest.mark.parametrize(
    ("head", "format_name", "words"),
    [
        (b"", "empty", "no bytes"),
        (b"Hello, this is a log file\n" * 20, "text", "text file"),
        ("Grüße, ein Text".encode(), "text", "text file"),
        ("text".encode("utf-16"), "text", "text file"),
        (b"<!DOCTYPE html><title>Sign in</title>", "html", "web page"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>', "xml", "XML"),
        (b'{"error": "not found"}', "json", "JSON"),
        (b'{"payload": {"protocol_version": "1.0.0"}}', "crash_report", "crash report"),
        (_elf(kind=2) + bytes(100), "elf_executable", "not a dump"),
        (_elf(kind=3) + bytes(100), "elf_shared_object", "not a dump"),
        (_elf(kind=1) + bytes(100), "elf_object", "not a dump"),
        (_elf(machine=183), "elf_core", "arm64"),
        (_elf(machine=3, bits=1), "elf_core", "32-bit"),
        (_elf(machine=21, order=2), "elf_core", "big-endian"),
        (_elf()[:40], "elf", "inside its header"),
        (_MINIDUMP + _SYSTEM_INFO, "minidump", "Windows minidump (x64): recognised, not readable yet"),
        (b"MDMP", "minidump", "Windows minidump: recognised, not readable yet"),
        (b"Nettrace\x14\0\0\0!FastSerialization.1", "nettrace", "event trace"),
        (b"\x14\0\0\0!FastSerialization.1", "gcdump", "recognised, not readable yet"),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<III", 0x100000C, 0, 4), "mach_core", "macOS"),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<III", 0x100000C, 0, 2), "mach_image", "not a dump"),
        (b"MZ\x90\0" + bytes(200), "pe_image", "not a dump"),
        (b"PAGEDU64" + bytes(200), "kernel_dump", "whole Windows machine"),
        (b"JAVA PROFILE 1.0.2\0" + bytes(200), "hprof", "Java"),
        (b"\xfd7zXZ\0" + bytes(20), "xz", "cannot be unpacked"),
        (b"BZh91AY&SY" + bytes(range(128, 200)), "bzip2", "cannot be unpacked"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7z", "cannot be unpacked"),
        (bytes(257) + b"ustar" + bytes(250), "tar", "cannot be unpacked"),
        (bytes(5000), "zeros", "all zero"),
        (bytes(range(128, 256)) * 8, "unknown", "80 81 82 83"),
    ],
)
def test_other_files_are_refused_by_name(head: bytes, format_name: str, words: str) -> None:
    found = sniff(head)
    assert (found.format, found.accepted, found.compression) == (format_name, False, None)
    assert words in found.reason
    assert found.title
    assert found.remedy


def test_linux_cores_are_accepted() -> None:
    assert sniff(_CORE) == Sniffed("elf_core", True, None, "Linux core dump (x64)", "", "")


@pytest.mark.parametrize("name", ["NetBSD-CORE", "FreeBSD"])
def test_cores_of_other_systems_are_named(name: str) -> None:
    header = bytearray(_elf())
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, 1)
    note = struct.pack("<III", len(name) + 1, 0, 1) + name.encode() + b"\0"
    found = sniff(bytes(header) + struct.pack("<IIQ", 4, 0, 120) + bytes(40) + note)
    assert not found.accepted
    assert name.split("-")[0] in found.reason


@pytest.mark.parametrize(
    ("compression", "packed"),
    [
        ("gz", gzip.compress(_CORE)),
        ("zst", zstandard.compress(_CORE)),
        ("zip", _zip(("core", _CORE))),
        ("zip", _zip(("core", _CORE), method=zipfile.ZIP_STORED)),
        ("zip", _zip(("folder/", b""), ("folder/core", _CORE))),
    ],
    ids=["gzip", "zstd", "zip", "zip that only stores", "zip with a folder"],
)
def test_packed_cores_are_accepted(compression: str, packed: bytes) -> None:
    found = sniff(packed)
    assert (found.accepted, found.compression) == (True, compression)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lambda data: _zip(("x", data))])
def test_what_is_inside_is_told_when_it_is_no_dump(pack: object) -> None:
    found = sniff(pack(b"Just a text.\n" * 50))  # type: ignore[operator]
    assert (found.format, found.accepted) == ("text", False)
    assert "archive" in found.reason
    assert not sniff(pack(gzip.compress(os.urandom(2000)))).accepted  # type: ignore[operator]


def test_archives_that_cannot_be_unpacked_are_refused() -> None:
    assert "password" in sniff(b"PK\x03\x04\x14\x00\x01\x00\x08\x00" + bytes(30)).reason
    assert "no file" in sniff(_zip()).reason
    assert "cannot be unpacked" in sniff(b"\x1f\x8b" + bytes(range(100))).reason
    assert "cannot be unpacked" in sniff(b"\x28\xb5\x2f\xfd" + bytes(range(100, 200))).reason
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert "memory" in sniff(wide.compress(os.urandom(1 << 20)) + wide.flush()).reason


def test_a_cut_head_of_an_archive_is_still_recognised() -> None:
    noise = _CORE + os.urandom(4 << 20)
    for pack in (gzip.compress, zstandard.compress, lambda data: _zip(("core", data))):
        assert sniff(pack(noise)[: 1 << 20]).accepted


def test_real_dumps_are_accepted() -> None:
    for path in bundled_dumps():
        assert _sniff_file(path).accepted, path


def test_public_files() -> None:
    files = public_files()
    counted = Counter(_sniff_file(path).format for path in files)
    assert counted["minidump"] == len([path for path in files if path.suffix == ".dmp"])
    assert counted["gcdump"] == len([path for path in files if path.suffix == ".gcdump"])
    for path in files:
        found = _sniff_file(path)
        assert found.accepted or (found.reason and found.remedy)
        if found.accepted:
            assert found.format == "elf_core"
            assert "elfcore" in path.parts or "dotnet-linux" in path.parts


@given(st.binary(max_size=3000))
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_never_accepted(whole: bytes) -> None:
    assert not sniff(whole, len(whole)).accepted


@given(
    st.sampled_from([_CORE, _MINIDUMP + _SYSTEM_INFO, gzip.compress(_CORE), zstandard.compress(_CORE), _zip(("core", _CORE))]),
    st.data(),
)
@settings(max_examples=400, deadline=None)
def test_damage_gives_an_answer(head: bytes, data: st.DataObject) -> None:
    raw = bytearray(head[: data.draw(st.integers(0, len(head)))])
    for _ in range(data.draw(st.integers(0, 8)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    found = sniff(bytes(raw), len(raw))
    assert found.accepted or (found.reason and found.remedy)

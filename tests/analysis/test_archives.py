"""Unpacking: what comes out, and that nothing an archive claims goes beyond its bounds."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.archives import unpack
from analysis.errors import AnalysisError, Corrupt, NotADump, OverLimit, Unsupported

_DATA = b"\x7fELF" + os.urandom(300_000) + bytes(3_000_000)
_LIMIT = 16 << 20


def _write_zip(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def _packed(folder: Path) -> dict[str, Path]:
    (folder / "a.gz").write_bytes(gzip.compress(_DATA))
    (folder / "a.zst").write_bytes(zstandard.compress(_DATA))
    _write_zip(folder / "a.zip", ("core.1", _DATA))
    return {name: folder / f"a.{name}" for name in ("gz", "zst", "zip")}


@pytest.mark.parametrize("compression", ["gz", "zst", "zip"])
def test_the_bytes_come_out(tmp_path: Path, compression: str) -> None:
    unpacked = unpack(_packed(tmp_path)[compression], tmp_path / "plain", limit_bytes=_LIMIT)
    assert (unpacked.compression, unpacked.size_bytes) == (compression, len(_DATA))
    assert unpacked.member == ("core.1" if compression == "zip" else "")
    assert unpacked.path.read_bytes() == _DATA


def test_several_streams_in_one_file(tmp_path: Path) -> None:
    for name, pack in (("x.gz", gzip.compress), ("x.zst", zstandard.compress)):
        (tmp_path / name).write_bytes(pack(_DATA) + pack(b"more"))
        assert unpack(tmp_path / name, tmp_path / "plain", limit_bytes=_LIMIT).path.read_bytes() == _DATA + b"more"


def test_zeros_behind_a_gzip_member_are_passed_over(tmp_path: Path) -> None:
    for padding in (bytes(700), bytes(3 << 20)):
        (tmp_path / "x.gz").write_bytes(gzip.compress(_DATA) + padding + gzip.compress(b"more") + padding)
        assert unpack(tmp_path / "x.gz", tmp_path / "plain", limit_bytes=_LIMIT).path.read_bytes() == _DATA + b"more"
    (tmp_path / "x.gz").write_bytes(gzip.compress(_DATA) + b"garbage")
    with pytest.raises(Corrupt):
        unpack(tmp_path / "x.gz", tmp_path / "plain", limit_bytes=_LIMIT)


@pytest.mark.parametrize("compression", ["gz", "zst", "zip"])
def test_the_limit_holds_and_nothing_is_left(tmp_path: Path, compression: str) -> None:
    with pytest.raises(OverLimit) as caught:
        unpack(_packed(tmp_path)[compression], tmp_path / "plain", limit_bytes=len(_DATA) - 1)
    assert caught.value.remedy
    assert not (tmp_path / "plain").exists()
    assert unpack(_packed(tmp_path)[compression], tmp_path / "plain", limit_bytes=len(_DATA)).size_bytes == len(_DATA)


@pytest.mark.parametrize("compression", ["gz", "zst", "zip"])
def test_cut_archives_are_corrupt(tmp_path: Path, compression: str) -> None:
    raw = _packed(tmp_path)[compression].read_bytes()
    for length in (10, len(raw) // 2, len(raw) - 1):
        (tmp_path / "cut").write_bytes(raw[:length])
        with pytest.raises(Corrupt):
            unpack(tmp_path / "cut", tmp_path / "plain", limit_bytes=_LIMIT)
        assert not (tmp_path / "plain").exists()


def test_bombs_stop_at_the_limit(tmp_path: Path) -> None:
    deflate, wide = zlib.compressobj(9, zlib.DEFLATED, 31), zstandard.ZstdCompressor(19).compressobj()
    zeros = bytes(1 << 20)
    (tmp_path / "bomb.gz").write_bytes(b"".join(deflate.compress(zeros) for _ in range(512)) + deflate.flush())
    (tmp_path / "bomb.zst").write_bytes(b"".join(wide.compress(zeros) for _ in range(512)) + wide.flush())
    _write_zip(tmp_path / "bomb.zip", ("core", bytes(64 << 20)))
    for name in ("bomb.gz", "bomb.zst", "bomb.zip"):
        assert (tmp_path / name).stat().st_size < 1 << 20
        with pytest.raises(OverLimit):
            unpack(tmp_path / name, tmp_path / "plain", limit_bytes=_LIMIT)
        assert not (tmp_path / "plain").exists()


def test_a_zip_that_lies_about_its_size_stops_at_the_limit(tmp_path: Path) -> None:
    raw = bytearray(_write_zip(tmp_path / "lie.zip", ("core", bytes(40 << 20))).read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<I", raw, entry + 24, 1000)
    (tmp_path / "lie.zip").write_bytes(raw)
    with pytest.raises(AnalysisError):
        unpack(tmp_path / "lie.zip", tmp_path / "plain", limit_bytes=_LIMIT)
    assert not (tmp_path / "plain").exists()


def test_a_window_that_needs_too_much_memory(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "wide.zst").write_bytes(wide.compress(_DATA) + wide.flush())
    with pytest.raises(OverLimit, match="memory"):
        unpack(tmp_path / "wide.zst", tmp_path / "plain", limit_bytes=_LIMIT)


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "C:\\Windows\\core", "a/../../b"])
def test_names_in_a_zip_lead_nowhere(tmp_path: Path, name: str) -> None:
    packed = _write_zip(tmp_path / "x.zip", (name, _DATA))
    (tmp_path / "inner").mkdir()
    unpacked = unpack(packed, tmp_path / "inner" / "plain", limit_bytes=_LIMIT)
    assert "/" not in unpacked.member
    assert "\\" not in unpacked.member
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inner", "x.zip"]
    assert [path.name for path in (tmp_path / "inner").iterdir()] == ["plain"]


def test_only_one_member(tmp_path: Path) -> None:
    folders = _write_zip(tmp_path / "folder.zip", ("a/", b""), ("a/core", _DATA), ("__MACOSX/a/._core", b"x"))
    assert unpack(folders, tmp_path / "plain", limit_bytes=_LIMIT).member == "core"
    for members, words in (((), "0 files"), ((("a", b"1"), ("b", b"2")), "2 files")):
        with pytest.raises(NotADump, match=words):
            unpack(_write_zip(tmp_path / "x.zip", *members), tmp_path / "none", limit_bytes=_LIMIT)


def test_many_members_are_refused_before_they_are_read(tmp_path: Path) -> None:
    many = _write_zip(tmp_path / "many.zip", *((f"{number:0100}", b"") for number in range(10_000)))
    with pytest.raises(NotADump, match="far more than one"):
        unpack(many, tmp_path / "plain", limit_bytes=_LIMIT)


def test_passwords_and_odd_methods_are_named(tmp_path: Path) -> None:
    raw = bytearray(_write_zip(tmp_path / "locked.zip", ("core", _DATA)).read_bytes())
    raw[6] |= 1
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(raw)
    with pytest.raises(Unsupported, match="password"):
        unpack(tmp_path / "locked.zip", tmp_path / "plain", limit_bytes=_LIMIT)
    odd = _write_zip(tmp_path / "odd.zip", ("core", _DATA), method=zipfile.ZIP_LZMA)
    with pytest.raises(Unsupported, match="method 14"):
        unpack(odd, tmp_path / "plain", limit_bytes=_LIMIT)


def test_a_plain_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "core").write_bytes(_DATA)
    with pytest.raises(NotADump):
        unpack(tmp_path / "core", tmp_path / "plain", limit_bytes=_LIMIT)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_raises_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    small = b"\x7fELF" + bytes(range(256)) * 20
    packed = tmp_path / "x.zip"
    choices = [gzip.compress(small), zstandard.compress(small), _write_zip(packed, ("core", small)).read_bytes()]
    raw = bytearray(data.draw(st.sampled_from(choices)))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    packed.write_bytes(raw)
    target = tmp_path / "plain"
    try:
        assert unpack(packed, target, limit_bytes=1 << 20).size_bytes <= 1 << 20
        target.unlink()
    except AnalysisError:
        assert not target.exists()

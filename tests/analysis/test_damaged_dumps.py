"""Real dumps, damaged: what can be read is read, the rest is named; nothing ends in an exception of Python's."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from analysis.dump import Dump
from analysis.errors import AnalysisError, Corrupt
from analysis.pipeline import analyse
from tests.analysis.bundled_dumps import bundled_dump

_PAGE = 4096


def _offset(dump: Dump, address: int) -> int:
    found = dump.core.memory.segments.find(address)
    assert found is not None
    return found[2] + address - found[0]


def _coverage(path: Path, out: Path) -> dict[str, tuple[str, str]]:
    analyse(path, out, lambda stage, fraction, detail: None)
    items = json.loads((out / "facts" / "coverage.json").read_text())["items"]
    return {item["topic"]: (item["state"], item["reason"]) for item in items}


@pytest.mark.parametrize("name", ["zoo-net10", "zoo-net8"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_half_a_file_says_that_it_is_half_a_file(name: str, share: float, tmp_path: Path) -> None:
    raw = bundled_dump(name).read_bytes()
    path = tmp_path / "cut.dmp"
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(Corrupt, match="the file ends early"):
        analyse(path, tmp_path / "index", lambda stage, fraction, detail: None)


def _objects(dump: Dump) -> dict[int, tuple[int, int]]:
    """Address -> method table and size of each object but free blocks."""
    walked = dump.walk()
    assert walked is not None
    columns, tables = walked.columns, walked.types.method_tables
    rows = zip(columns.address.tolist(), columns.type.tolist(), columns.size.tolist(), strict=True)
    return {address: (tables[kind], size) for address, kind, size in rows if kind}


def test_an_overwritten_method_table_costs_its_objects_and_makes_none_up(tmp_path: Path) -> None:
    source = bundled_dump("zoo-net10")
    whole = Dump(source)
    objects = _objects(whole)
    table = next(table for table, _ in objects.values() if whole.runtime.types.name(table) == "Scenarios.Derived")
    raw = bytearray(source.read_bytes())
    at = _offset(whole, table)
    raw[at : at + 64] = b"\xcc" * 64
    path = tmp_path / "damaged.dmp"
    path.write_bytes(raw)
    state, reason = _coverage(path, tmp_path / "index")["heap"]
    assert (state, "gaps of together" in reason) == ("partial", True)
    found = _objects(Dump(path))
    assert found.items() < objects.items()
    assert table not in {kind for kind, _ in found.values()}
    # An object alone between two that cannot be read is lost with them: the walk goes on where two follow each other.
    assert len(found) > 0.85 * len(objects)


def test_a_page_of_the_heap_that_was_cleared_is_a_gap_and_not_free_space(tmp_path: Path) -> None:
    source = bundled_dump("zoo-net10")
    whole = Dump(source)
    walked, objects = whole.walk(), _objects(whole)
    assert walked is not None
    ((page, _),) = Counter(at // _PAGE for at in objects).most_common(1)
    address = page * _PAGE
    raw = bytearray(source.read_bytes())
    at = _offset(whole, address)
    raw[at : at + _PAGE] = bytes(_PAGE)
    path = tmp_path / "cleared.dmp"
    path.write_bytes(raw)
    damaged = Dump(path)
    found, rest = damaged.walk(), _objects(damaged)
    assert found is not None
    assert found.types.counts[0].sum() <= walked.types.counts[0].sum()
    assert rest.items() < objects.items()
    (gap,) = found.gaps
    assert address <= gap.start < gap.end < address + 2 * _PAGE
    assert {at for at in objects if not gap.start <= at < gap.end} == rest.keys()


@pytest.mark.parametrize("seed", range(12))
def test_any_damage_ends_in_an_index_or_a_reason(seed: int, tmp_path: Path) -> None:
    """Bytes changed in the heap, in method tables and classes, in the runtime, anywhere."""
    source = bundled_dump("zoo-net10")
    whole, chosen = Dump(source), random.Random(seed)
    walked = whole.walk()
    assert walked is not None
    raw = bytearray(source.read_bytes())
    tables = walked.types.method_tables
    classes = [whole.runtime.types.info(address).ee_class for address in tables[1:]]
    image = whole.runtime.target.runtime.image
    parts = whole.core.memory.segments.between(image.base, image.end)
    for _ in range(30):
        for address in (chosen.choice(tables), chosen.choice(classes)):
            raw[_offset(whole, address) + chosen.randrange(64)] = chosen.randrange(256)
        left, right, offset = chosen.choice(parts)
        if seed % 3 == 0:
            raw[offset + chosen.randrange(right - left)] = chosen.randrange(256)
        page = chosen.randrange(len(raw) // _PAGE // 10, len(raw) // _PAGE) * _PAGE
        raw[page : page + _PAGE] = chosen.randbytes(_PAGE)
    path = tmp_path / "damaged.dmp"
    path.write_bytes(raw)
    try:
        states = {state for state, _ in _coverage(path, tmp_path / "index").values()}
    except AnalysisError as error:
        assert error.what and error.code
    else:
        assert "partial" in states

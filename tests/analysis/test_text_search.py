"""Strings that contain a text, against a slow search through the same strings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.index.store import open_index
from analysis.kernels.strings import CUT, texts_with
from analysis.limits import LIMITS
from analysis.text_search import find_text
from tests.analysis.bundled_dumps import bundled_dump


def slow(dump: Dump, index, wanted: str, any_case: bool) -> list[tuple[int, int]]:
    """Row and length of each string with it."""
    kind = index.text("types", "name").all.index("System.String")
    first, count = (int(index.column("types", name)[kind]) for name in ("first_instance", "count"))
    found = []
    for row in index.column("instances", "by_address")[first : first + count].tolist():
        text = dump.objects.string(int(index.column("objects", "address")[row]), 1 << 20)
        if wanted in text or (any_case and wanted.lower() in text.lower()):
            found.append((row, len(text.encode("utf-16-le")) // 2))
    return found


@pytest.mark.parametrize("any_case", [False, True])
@pytest.mark.parametrize("wanted", ["System", "sYSTEM.", "e", "/", "nowhere at all", "-", "\0", "\ud83d\ude00"])
def test_it_finds_what_a_slow_search_finds(wanted: str, any_case: bool, zoo: Path) -> None:
    dump, index = Dump(bundled_dump("zoo-net8")), open_index(zoo).structure
    expected = slow(dump, index, wanted, any_case)
    found = find_text(dump, index, wanted, any_case=any_case)
    assert found.total == len(expected) and (found.total > 0 or wanted in ("sYSTEM.", "nowhere at all", "\0", "\ud83d\ude00"))
    assert list(zip(found.rows, found.lengths, strict=True)) == expected[: LIMITS.values]
    assert found.read > 1000 and found.cut == 0


def test_texts_that_are_cut_or_end_early_are_not_read_beyond() -> None:
    units = np.frombuffer("abcabd".encode("utf-16-le"), np.uint16)
    found, wanted = np.zeros(4, np.bool_), np.frombuffer("abd".encode("utf-16-le"), np.uint16)
    texts_with(units, np.array([0, 3, CUT, 4]), np.array([5, 3, 3, 9]), wanted, wanted, found)
    assert found.tolist() == [False, True, False, False]

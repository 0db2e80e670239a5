"""The page about the collector: fragmentation in words, pinned objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.test import Client

from analysis.index.retention import HANDLE_KINDS, NOT_LIVE
from analysis.index.schema import DataClass
from analysis.index.store import Index
from explorer.models import Dump
from explorer.pages.garbage_collector import fragmentation_words
from explorer.pages.pinned import Pinned
from explorer.pages.references import References
from tests.explorer.pages.visits import address, body_of


def _generation(name: str, used: int, free: int) -> dict[str, Any]:
    return {"name": name, "size": used, "free_size": free}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [_generation("Large", 5_000_000, 9_000_000), _generation("Generation0", 1, 0)],
            "of the large object heap, 64.3 %, are gaps",
        ),
        ([_generation("Generation2", 50_000_000, 9_000_000)], "most of it in generation 2, too little to cost anything"),
        ([_generation("Generation0", 1000, 90_000_000), _generation("Large", 1000, 900)], "in Gen 0, which empties by itself"),
        ([_generation("Pinned", 10, 4_999_999)], "does not matter"),
        ([_generation("Large", 10, 0)], "is not fragmented"),
        ([_generation("Large", 0, 0)], ""),
    ],
)
def test_fragmentation_is_told_with_its_place_and_whether_it_matters(rows: list[dict[str, Any]], words: str) -> None:
    said = fragmentation_words(rows)
    assert words in said and bool(said) == bool(words)


def test_pinned_objects_are_those_of_the_pinning_handles(real: Dump, as_alice: Client, index: Index) -> None:
    pins = np.isin(index.column("handles", "kind"), [HANDLE_KINDS.index(name) for name in ("Pinned", "AsyncPinned")])
    held = index.column("handles", "object")[pins]
    expected = {int(index.column("objects", "address")[row]) for row in held[held != NOT_LIVE]}
    pinned = Pinned(index, References(index.up_to(DataClass.D1_STRUCTURE), real.pk))
    assert pinned.total == len(expected) == sum(row["count"] for row in pinned.groups())
    body = body_of(as_alice, address(real, "dump-gc"))
    listed = body.split('id="table-pinned"')[1].split("</section>")[0]
    assert all(f"/objects/{one:x}" in listed for one in expected)
    assert pinned.words() in body and "System.Byte[]" in body.split('id="table-pinned_groups"')[1].split("</table>")[0].replace(
        '<span class="ns">System.</span>', "System."
    )


def test_without_a_graph_nothing_is_said_about_pinning(dump: Dump, as_alice: Client) -> None:
    body = body_of(as_alice, address(dump, "dump-gc"))
    assert "Pinned objects" not in body and "Fragmentation does not matter here" in body

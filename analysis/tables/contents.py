"""Tables of what lies in objects: strings with the same text, and how full collections are."""

from __future__ import annotations

import numpy as np

from analysis.graph.strings import Holders, Strings
from analysis.index.store import IndexWriter
from analysis.insight.collections import Collections

_LENGTH_BITS = 32


def write_strings(writer: IndexWriter, strings: Strings, holders: Holders) -> dict[str, int]:
    """Tables of strings; the facts ``strings.*``."""
    worst, wasted = strings.worst(), strings.wasted
    first = strings.firsts[worst]
    writer.table("string_groups", {
        "characters": strings.lengths[first], "size": strings.sizes[first], "count": strings.counts[worst],
        "wasted": wasted[worst], "object": strings.rows[first],
    })  # fmt: skip
    writer.table("string_holders", {
        "group": holders.rank, "source_type": holders.source_type, "offset": holders.offset, "references": holders.references,
    })  # fmt: skip
    _write_lengths(writer, strings)
    return {
        "count": len(strings.rows), "bytes": int(strings.sizes.sum()),
        "duplicates": len(strings.rows) - len(strings.firsts), "wasted": int(wasted.sum()),
    }  # fmt: skip


def _write_lengths(writer: IndexWriter, strings: Strings) -> None:
    """Lengths 0, 1, 2-3, 4-7 … by the number of bits of a length; those no string has are left out."""
    bits = np.frexp(strings.lengths.astype(np.float64))[1]
    counts = np.bincount(bits, minlength=_LENGTH_BITS + 1)
    sizes = np.bincount(bits, strings.sizes.astype(np.float64), _LENGTH_BITS + 1)
    used = np.flatnonzero(counts)
    writer.table("string_lengths", {
        "lower": (1 << used) >> 1, "upper": (1 << used) - 1, "count": counts[used], "size": sizes[used].astype(np.int64),
    })  # fmt: skip


def write_collections(writer: IndexWriter, found: Collections) -> None:
    """The table of collections."""
    writer.table("collections", {
        "object": found.rows, "kind": found.kinds, "count": found.counts, "capacity": found.capacities,
        "storage": found.storage,
    })  # fmt: skip

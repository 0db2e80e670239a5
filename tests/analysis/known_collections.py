"""Collections of the program in ``programs/Collections.cs``: each is held by an object that carries its name."""

from __future__ import annotations

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.index.retention import COLLECTION_KINDS, NO_CAPACITY
from analysis.insight.collections import find_collections


def known_collections(dump: Dump, retention: Retention) -> dict[str, list[int]]:
    """Items and room for items (-1: without end) by name; a name begins with the kind and has a number behind it."""
    found = find_collections(dump, retention)
    assert found.problems == []
    columns = zip(found.rows.tolist(), found.kinds.tolist(), found.counts.tolist(), found.capacities.tolist(), strict=True)
    by_row = {row: (COLLECTION_KINDS[kind], count, capacity) for row, kind, count, capacity in columns}
    fields, walked = dump.named_fields, retention.walked
    answers: dict[str, list[int]] = {}
    for row, kind in enumerate(walked.columns.type.tolist()):
        if fields.bases(walked.types.method_tables[kind])[:1] != ("Unusual.Filled",):
            continue
        address = int(walked.columns.address[row])
        name = dump.objects.string(fields.reference(address, "Name") or 0) or ""
        held = retention.places.find([fields.reference(address, "Held") or 0])[0]
        kind_name, count, capacity = by_row.get(int(held), ("", -2, -2))
        answers[name] = [count, -1 if capacity == NO_CAPACITY else capacity] if name.split()[0] == kind_name else [-3, -3]
    return answers

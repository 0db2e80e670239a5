"""Tables and facts of what looks like a secret."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.index.secrets import CERTAINTIES, PERSON, VARIABLE
from analysis.index.store import IndexWriter
from analysis.secrets.find import CERTAINTY, COPIES, COUNT, KIND, LIVE_COPIES, OBJECT, PLACE, Secrets
from analysis.secrets.scan import FAMILIES, KIND_NAMES

_PERSONAL = [number for number, name in enumerate(KIND_NAMES) if FAMILIES[name] == PERSON]


def write_secrets(writer: IndexWriter, found: Secrets) -> None:
    """Tables secrets and secret_holders, facts/secrets.json."""
    rows, holders, scanned = found.rows[found.reported], found.holders, found.scanned
    names = [KIND_NAMES[kind] for kind in rows[:, KIND].tolist()]
    writer.table("secrets", {
        "kind": names, "family": [FAMILIES[name] for name in names], "certainty": rows[:, CERTAINTY], "place": rows[:, PLACE],
        "object": rows[:, OBJECT], "name": [found.names.get(row, "") for row in found.reported.tolist()],
        "count": rows[:, COUNT], "copies": rows[:, COPIES], "live_copies": rows[:, LIVE_COPIES],
    })  # fmt: skip
    if holders is not None:
        writer.table("secret_holders", {
            "object": found.objects[holders.rank], "source_type": holders.source_type, "offset": holders.offset,
            "references": holders.references,
        })  # fmt: skip
    writer.facts("secrets", {
        "scanned": {
            "strings": scanned.strings, "texts": scanned.texts, "arrays": scanned.arrays, "bytes": scanned.bytes,
            "variables": scanned.variables, "arguments": scanned.arguments,
        },
        "kinds": _kinds(found), "texts": _texts(found, personal=False),
        "personal_texts": _texts(found, personal=True), "known_kinds": len(KIND_NAMES),
        "places_left_out": scanned.places_left_out, "arrays_left_out": scanned.arrays_left_out,
        "rows_left_out": len(found.rows) - len(rows), "problem": scanned.problem,
    })  # fmt: skip


def _texts(found: Secrets, *, personal: bool) -> int:
    """Texts with a secret, or with data of persons: one with several kinds is one, and so is a variable."""
    rows = np.flatnonzero(np.isin(found.rows[:, KIND], _PERSONAL) == personal)
    heap = found.rows[rows, PLACE] < VARIABLE
    return len(np.unique(found.rows[rows[heap], OBJECT])) + len({found.names[row] for row in rows[~heap].tolist()})


def _kinds(found: Secrets) -> list[dict[str, Any]]:
    """Each kind that was found, the surest and most frequent first."""
    rows = found.rows
    numbers, inverse = np.unique(rows[:, KIND], return_inverse=True)
    surest = np.zeros(len(numbers), np.int64)
    np.maximum.at(surest, inverse, rows[:, CERTAINTY])
    texts = np.bincount(inverse, minlength=len(numbers))
    objects, live = (np.bincount(inverse, rows[:, one], len(numbers)).astype(np.int64) for one in (COPIES, LIVE_COPIES))
    return [
        {
            "name": KIND_NAMES[numbers[row]], "family": FAMILIES[KIND_NAMES[numbers[row]]],
            "certainty": CERTAINTIES[surest[row]], "texts": int(texts[row]), "objects": int(objects[row]),
            "live_objects": int(live[row]),
        }
        for row in np.lexsort((-texts, -surest)).tolist()
    ]  # fmt: skip

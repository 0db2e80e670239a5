"""What a scan for secrets leaves in a synthetic index: texts on the heap, environment variables, the command line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.index.retention import NOT_LIVE
from analysis.index.secrets import ARGUMENTS, STRING, VARIABLE
from analysis.index.store import IndexWriter

SECRET_KIND, SECRET_VARIABLE = "AWS access key id", "SECRET_VARIABLE_NAME"
_OTHER_KIND = "e-mail address"
_MOST_OBJECTS = 300


def write_secrets(writer: IndexWriter, variables: Sequence[str], objects: int, types: int, left_out: int = 0) -> None:
    """One secret in each variable and on the command line, and an address in each of the first ``objects`` objects."""
    rows = min(objects, _MOST_OBJECTS)
    outside = len(variables) + 1
    total = outside + rows
    writer.table("secrets", {
        "kind": [SECRET_KIND] * outside + [_OTHER_KIND] * rows, "family": ["cloud"] * outside + ["person"] * rows,
        "certainty": [2] * outside + [1] * rows, "place": [VARIABLE] * len(variables) + [ARGUMENTS] + [STRING] * rows,
        "object": [NOT_LIVE] * outside + list(range(rows)), "name": [*variables, ""] + [""] * rows,
        "count": np.ones(total), "copies": np.ones(total), "live_copies": [0] * outside + [1] * rows,
    })  # fmt: skip
    if rows:
        holders = 2 * rows
        writer.table("secret_holders", {
            "object": np.repeat(np.arange(rows), 2), "source_type": np.arange(holders) % types,
            "offset": np.full(holders, 8), "references": np.ones(holders),
        })  # fmt: skip
    kinds = [(SECRET_KIND, "cloud", "certain", outside, 0), (_OTHER_KIND, "person", "likely", rows, rows)]
    writer.facts("secrets", {
        "scanned": {
            "strings": rows, "texts": rows, "arrays": 0, "bytes": 48 * rows, "variables": len(variables), "arguments": 1,
        },
        "kinds": [
            {"name": name, "family": family, "certainty": sure, "texts": texts, "objects": texts, "live_objects": live}
            for name, family, sure, texts, live in kinds if texts
        ],
        "texts": outside, "personal_texts": rows, "known_kinds": 86, "places_left_out": 0, "arrays_left_out": 0,
        "rows_left_out": left_out, "problem": None if rows else "There is no heap in this dump.",
    })  # fmt: skip


def write_no_secrets(writer: IndexWriter) -> None:
    """A scan that found nothing."""
    writer.facts("secrets", {
        "scanned": {"strings": 628, "texts": 612, "arrays": 26, "bytes": 114_475, "variables": 6, "arguments": 4},
        "kinds": [], "texts": 0, "personal_texts": 0, "known_kinds": 86, "places_left_out": 0, "arrays_left_out": 0,
        "rows_left_out": 0, "problem": None,
    })  # fmt: skip

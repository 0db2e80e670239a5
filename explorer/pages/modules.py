"""Managed and native modules as rows."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from analysis.index.schema import TABLES
from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.opened import kept
from explorer.pages.tables import Column, structure

D2 = TABLES["modules"].column("path").data_class

MANAGED_COLUMNS = (
    structure("name", "Module", "text"),
    structure("version", "Version", "text"),
    structure("heap_size", "On the heap", "number", "B", "Bytes of heap objects of its types"),
    structure("retained", "Retained", "number", "B", "What would be free without all objects of its assembly's types"),
    structure("types", "Types", "number", about="Types with objects on the heap"),
    structure(
        "lines",
        "Lines",
        "text",
        about="Which PDB gives file and line to its stacks: one in the dump, one the team uploaded, none",
    ),
    structure("size", "Image", "number", "B", "Size of the image"),
    structure("image_base", "Image base", "address"),
    structure("mvid", "MVID", "code", about="Module version id: which build of the file this is", sortable=False),
    structure("pdb_id", "PDB id", "code", about="GUID and age of the matching PDB", sortable=False),
    structure("dynamic", "Dynamic", "flag", about="Made at run time by Reflection.Emit"),
    Column("path", "Path", "text", data_class=D2),
    Column("pdb_path", "PDB path", "text", data_class=D2, sortable=False),
    structure("assembly", "Assembly", "hidden"),
    structure("address", "Module structure", "hidden-address"),
)

CONTEXT_COLUMNS = (
    structure("name", "Assemblies in it", "text", sortable=False),
    structure("objects", "Live objects", "number", sortable=False),
    structure("size", "Their size", "number", "B", sortable=False),
    structure("retained", "Retained", "number", "B", "What would be free without all of them", sortable=False),
)

NATIVE_COLUMNS = (
    structure("name", "Module", "text"),
    structure("version", "Version", "text"),
    structure("size", "Size", "number", "B", "Address space it takes"),
    structure("base", "Load address", "address"),
    structure("build_id", "Build id", "code", about="GNU build id: which build of the file this is", sortable=False),
    Column("path", "Path", "text", data_class=D2),
)


def managed_rows(index: Index) -> list[dict[str, Any]]:
    """Every managed module; a size or address of 0 is a missing value."""
    retained = {row["name"]: row["retained"] for row in _rows(index, "groups") if row["partition"] == "assembly"}
    return [{**row, "retained": retained.get(row["assembly"])} for row in _rows(index, "modules")]


def context_rows(index: Index) -> list[dict[str, Any]]:
    """Load contexts that can be unloaded and hold live objects, those that retain most first."""
    rows = [row for row in _rows(index, "groups") if row["partition"] == "load context" and row["name"]]
    return sorted(rows, key=lambda row: -row["retained"])


def with_lines(rows: list[dict[str, Any]], index: Index, uploaded: Container[str]) -> list[dict[str, Any]]:
    """The rows with the source of their lines; ``uploaded`` holds the ids of PDBs the team gave."""
    return [{**row, "lines": _line_source(row["pdb_id"], index, uploaded)} for row in rows]


def _line_source(pdb_id: str, index: Index, uploaded: Container[str]) -> str:
    if index.has_lines(pdb_id):
        return "in the dump"
    return "uploaded" if pdb_id in uploaded else "none"


def native_rows(index: Index) -> list[dict[str, Any]]:
    """Every mapped file that is not a managed assembly."""
    return _rows(index, "native_modules")


@kept(24)
def _rows(index: Index, table: str) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    for column in index.columns_of(table):
        if column.dtype == "text":
            columns[column.name] = [visible(text, 400) for text in index.text(table, column.name).all]
        else:
            columns[column.name] = index.column(table, column.name).tolist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for row in rows:
        if table != "groups":
            row |= {key: row.get(key) or None for key in ("image_base", "size")}
    return rows


def filtered(rows: list[dict[str, Any]], text: str, allowed: set[str]) -> list[dict[str, Any]]:
    """Rows whose shown text columns hold every word of ``text``; columns the viewer may not see are not searched."""
    words = text.lower().split()
    keys = [key for key in ("name", "assembly", "version", "path", "mvid", "pdb_id", "build_id") if key in allowed]
    return [row for row in rows if all(any(word in str(row.get(key, "")).lower() for key in keys) for word in words)]

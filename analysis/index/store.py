"""Write an index (child process) and open it (web application). The format is described in ``analysis.index.schema``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import Corrupt
from analysis.index.lines import Lines, load_lines
from analysis.index.projection import AboveClass, project
from analysis.index.schema import FACTS, SCHEMA_VERSION, TABLES, Column, DataClass

_PDB_ID = re.compile(r"[0-9a-f-]{36},[0-9]{1,10}")


class TextColumn(Sequence[str]):
    """A column of text: item access decodes one row, ``all`` decodes and keeps every row.

    Damaged UTF-8 is shown with replacement characters; it never raises.
    """

    def __init__(self, offsets: npt.NDArray[np.uint64], data: npt.NDArray[np.uint8]) -> None:
        self._offsets, self._data = offsets, data

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row = int(row)
        if row < 0:
            row += len(self)
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self._data[int(self._offsets[row]) : int(self._offsets[row + 1])].tobytes().decode("utf-8", "replace")

    @cached_property
    def all(self) -> tuple[str, ...]:
        raw, ends = self._data.tobytes(), self._offsets.tolist()
        return tuple(raw[a:b].decode("utf-8", "replace") for a, b in pairwise(ends))


class IndexWriter:
    """Writes tables and facts into a directory; ``finish`` writes the manifest last, so that a torn index has none."""

    def __init__(self, directory: Path, engine_version: str) -> None:
        self.directory = directory
        self._rows: dict[str, int] = {}
        self._engine_version = engine_version
        (directory / "columns").mkdir(parents=True, exist_ok=True)
        (directory / "facts").mkdir(exist_ok=True)

    def table(self, name: str, columns: Mapping[str, npt.ArrayLike | Iterable[str]]) -> None:
        """Write one table; ``columns`` must name exactly the columns of the schema, all equally long."""
        table = TABLES[name]
        expected = [column.name for column in table.columns]
        if sorted(columns) != sorted(expected):
            raise ValueError(f"table {name}: columns {sorted(columns)} are not {sorted(expected)}")
        lengths = {self._write(name, column, columns[column.name]) for column in table.columns}
        if len(lengths) != 1:
            raise ValueError(f"table {name}: columns differ in length: {sorted(lengths)}")
        self._rows[name] = lengths.pop()

    def _write(self, table: str, column: Column, values: Any) -> int:
        stem = self.directory / "columns" / f"{table}.{column.name}"
        if column.dtype == "text":
            encoded = [str(text).encode("utf-8", "replace") for text in values]
            offsets = np.zeros(len(encoded) + 1, np.uint64)
            np.cumsum([len(piece) for piece in encoded], out=offsets[1:])
            np.save(f"{stem}.offsets.npy", offsets)
            Path(f"{stem}.text").write_bytes(b"".join(encoded))
            return len(encoded)
        array = np.ascontiguousarray(values, dtype=np.dtype(column.dtype))
        if column.width and (array.size == 0 or array.ndim == 1):
            array = array.reshape(-1, column.width)
        np.save(f"{stem}.npy", array)
        return len(array)

    def facts(self, name: str, document: Mapping[str, Any]) -> None:
        """Write a document; every field must carry a data class in the schema. Raises Unclassified."""
        project(document, FACTS[name], DataClass.D4_RAW)
        (self.directory / "facts" / f"{name}.json").write_text(json.dumps(document, indent=1))

    def lines(self, pdb_id: str, lines: Lines) -> None:
        """Keep the source lines of a PDB that was found in the dump itself."""
        (self.directory / "symbols").mkdir(exist_ok=True)
        lines.save(_lines_path(self.directory, pdb_id))

    def finish(self) -> None:
        for name in TABLES:
            if name not in self._rows:
                empty: dict[str, Any] = {column.name: [] for column in TABLES[name].columns}
                self.table(name, empty)
        for name in FACTS:
            if not (self.directory / "facts" / f"{name}.json").exists():
                self.facts(name, {})
        files = {
            str(path.relative_to(self.directory)): path.stat().st_size
            for part in ("columns", "facts", "symbols")
            if (self.directory / part).is_dir()
            for path in sorted((self.directory / part).iterdir())
        }
        manifest = {"schema_version": SCHEMA_VERSION, "engine_version": self._engine_version, "rows": self._rows, "files": files}
        (self.directory / "manifest.json").write_text(json.dumps(manifest, indent=1))


class Index:
    """An index opened for reading: ``column`` gives memory-mapped arrays, ``text`` text columns, ``facts`` documents.

    It shows fields up to the class ``highest``; whatever is computed from it, sorted or counted by it, holds nothing above.
    """

    def __init__(self, directory: Path, manifest: Mapping[str, Any]) -> None:
        self.directory = directory
        self.rows: Mapping[str, int] = manifest["rows"]
        self.engine_version: str = manifest["engine_version"]
        self.highest = DataClass.D4_RAW
        self._open: dict[tuple[str, str], Any] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._projections: dict[DataClass, Index] = {self.highest: self}

    def up_to(self, highest: DataClass) -> Index:
        """This index as somebody sees it who may see fields up to ``highest``: the same object for the same class."""
        if highest > self.highest:
            raise AboveClass(f"an index up to {self.highest.name} holds nothing of {highest.name}")
        if highest not in self._projections:
            narrowed = copy(self)
            narrowed.highest, narrowed._facts = highest, {}
            self._projections.setdefault(highest, narrowed)
        return self._projections[highest]

    @property
    def structure(self) -> Index:
        """What everybody sees who sees the dump: D1."""
        return self.up_to(DataClass.D1_STRUCTURE)

    def shows(self, table: str, column: str) -> bool:
        """Whether ``column`` or ``text`` may be asked for this column."""
        return TABLES[table].column(column).data_class <= self.highest

    def columns_of(self, table: str) -> tuple[Column, ...]:
        """The columns of a table that may be asked for."""
        return tuple(column for column in TABLES[table].columns if column.data_class <= self.highest)

    def _demand(self, table: str, column: str) -> None:
        if not self.shows(table, column):
            raise AboveClass(f"{table}.{column} is above {self.highest.name}")

    def column(self, table: str, column: str) -> npt.NDArray[Any]:
        """The memory-mapped column; shape (rows,) or (rows, width). Raises AboveClass."""
        self._demand(table, column)
        key = (table, column)
        if key not in self._open:
            self._open[key] = _load(self.directory / "columns" / f"{table}.{column}.npy")
        array: npt.NDArray[Any] = self._open[key]
        return array

    def text(self, table: str, column: str) -> TextColumn:
        """A column of text. Raises AboveClass."""
        self._demand(table, column)
        key = (table, column)
        if key not in self._open:
            stem = self.directory / "columns" / f"{table}.{column}"
            data = np.fromfile(f"{stem}.text", np.uint8)
            self._open[key] = TextColumn(np.load(f"{stem}.offsets.npy"), data)
        found: TextColumn = self._open[key]
        return found

    def facts(self, name: str) -> dict[str, Any]:
        """A document. Raises ``analysis.index.projection.Unclassified``."""
        if name not in self._facts:
            document = json.loads((self.directory / "facts" / f"{name}.json").read_text())
            self._facts[name] = project(document, FACTS[name], self.highest)
        return self._facts[name]

    def lines(self, pdb_id: str) -> Lines | None:
        """Source lines of the module whose ``pdb_id`` this is; None when the dump held no PDB of it. Their paths are context
        as that of the PDB is. Raises AboveClass."""
        self._demand("modules", "pdb_path")
        key = ("symbols", pdb_id)
        if key not in self._open:
            path = _lines_path(self.directory, pdb_id)
            self._open[key] = load_lines(path) if pdb_id and path.is_file() else None
        found: Lines | None = self._open[key]
        return found

    def has_lines(self, pdb_id: str) -> bool:
        """Whether ``lines`` would give any, without reading them."""
        return _lines_path(self.directory, pdb_id).is_file()

    def object_sizes(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
        """Shallow sizes in bytes of the objects in ``rows``, the oversize ones filled in."""
        sizes: npt.NDArray[np.uint64] = self.column("objects", "size")[rows].astype(np.uint64)
        if self.rows["oversize_objects"]:
            at = np.searchsorted(self.column("oversize_objects", "object"), rows)
            at = np.minimum(at, self.rows["oversize_objects"] - 1)
            hit = self.column("oversize_objects", "object")[at] == rows
            sizes[hit] = self.column("oversize_objects", "size")[at][hit]
        return sizes


def open_index(directory: Path) -> Index:
    """Open and validate an index. Raises ``Corrupt`` when it is incomplete, damaged or of another schema version."""
    try:
        manifest = json.loads((directory / "manifest.json").read_text())
        version, rows, files = manifest["schema_version"], manifest["rows"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Corrupt("the index has no readable manifest", where=str(directory), remedy="Run the analysis again.") from error
    if version != SCHEMA_VERSION:
        raise Corrupt(
            f"the index has schema version {version}, this program reads {SCHEMA_VERSION}", remedy="Run the analysis again."
        )
    for name, size in files.items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != size:
            raise Corrupt(f"the index file {name} is missing or has another size", remedy="Run the analysis again.")
    if set(rows) != set(TABLES):
        raise Corrupt("the index does not hold the tables of its schema", remedy="Run the analysis again.")
    return Index(directory, manifest)


def _lines_path(directory: Path, pdb_id: str) -> Path:
    """The id comes from a dump: whatever is no GUID with a number names a file that is never there."""
    return directory / "symbols" / f"{pdb_id if _PDB_ID.fullmatch(pdb_id) else 'none'}.lines.npz"


def _load(path: Path) -> npt.NDArray[Any]:
    array = np.load(path, allow_pickle=False) if path.stat().st_size < 65536 else np.load(path, mmap_mode="r", allow_pickle=False)
    return array  # type: ignore[no-any-return]

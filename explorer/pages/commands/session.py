"""What commands read: the index, the names and links of one viewer, and objects by address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.objects import Objects
from explorer.pages.references import Piece, References
from explorer.pages.source_lines import SourceLines


@dataclass(frozen=True)
class Session:
    """One dump for one viewer. ``most`` is how many rows of a kind are listed."""

    index: Index
    references: References
    source_lines: SourceLines
    most: int

    @cached_property
    def objects(self) -> Objects:
        return Objects(self.index, self.references)

    @cached_property
    def method_tables(self) -> npt.NDArray[np.uint64]:
        return np.asarray(self.index.column("types", "method_table"))

    def address(self, row: int) -> Piece:
        """The address of an object, leading to its page."""
        at = int(self.objects.addresses[row])
        return Piece(f"{at:x}", self.references.url("dump-object", f"{at:x}"), "object")

    def type_name(self, row: int) -> Piece:
        """The whole name of a type, leading to its page."""
        name = visible(str(self.index.text("types", "name")[row]))
        return Piece(name, self.references.url("dump-type", row), "type")

    def method_table(self, row: int) -> Piece:
        """The method table of a type, leading to its page."""
        return Piece(f"{int(self.method_tables[row]):x}", self.references.url("dump-type", row), "type")

    def sizes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Shallow sizes of objects in bytes."""
        return np.asarray(self.index.object_sizes(rows), np.uint64)

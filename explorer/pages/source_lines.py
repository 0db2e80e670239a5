"""Source file and line of frames: from PDBs inside the dump's modules, then from the team's own."""

from __future__ import annotations

from collections.abc import Callable

from analysis.errors import AnalysisError
from analysis.index.lines import Lines
from analysis.index.store import Index
from explorer.pages.names import visible

#: Gives the lines of a PDB by its id, or None.
Store = Callable[[str], Lines | None]


class SourceLines:
    """Lines of one dump for the viewer whose index it is. Paths of sources are context (D2): who may not see it gets none."""

    def __init__(self, index: Index, *stores: Store) -> None:
        self._index = index
        self._sees = index.shows("modules", "pdb_path")
        self._stores = (index.lines, *stores)
        self._known: dict[str, Lines | None] = {}

    def of_method(self, method: int, il_offset: int) -> str:
        """``/src/Shop.cs @ 17`` for an IL offset in a row of methods, "" where no PDB tells."""
        if not self._sees or method < 0:
            return ""
        module = int(self._index.column("methods", "module")[method])
        token = int(self._index.column("methods", "token")[method])
        lines = self._lines(str(self._index.text("modules", "pdb_id")[module])) if module >= 0 and token else None
        place = lines.lookup(token, il_offset) if lines else None
        return f"{visible(place[0], 400)} @ {place[1]}" if place else ""

    def _lines(self, pdb_id: str) -> Lines | None:
        if pdb_id not in self._known:
            self._known[pdb_id] = next((found for store in self._stores if (found := self._ask(store, pdb_id))), None)
        return self._known[pdb_id]

    @staticmethod
    def _ask(store: Store, pdb_id: str) -> Lines | None:
        try:
            return store(pdb_id) if pdb_id else None
        except (AnalysisError, OSError):
            return None  # damaged lines are as good as none

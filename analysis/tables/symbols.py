"""Source lines of the modules whose PDB lies inside them, where the dump holds those bytes."""

from __future__ import annotations

import time

from analysis.dump import Dump
from analysis.errors import AnalysisError, MemoryFault
from analysis.index.store import IndexWriter
from analysis.limits import LIMITS
from analysis.runtime.loader import Module
from analysis.runtime.portable_pdb import PortablePdb, read_portable_pdb


def write_symbols(writer: IndexWriter, dump: Dump) -> None:
    """symbols/<pdb id>.lines.npz, one for each module with a readable PDB inside, until the time for it is used up."""
    until = time.monotonic() + LIMITS.embedded_pdb_seconds
    for module in dump.runtime.modules:
        if time.monotonic() > until:
            break
        found = _embedded(module)
        # The pages ask by the id the module names; a PDB of another build would give wrong lines.
        if found and module.code_view and found.pdb_id == module.code_view.pdb_id:
            writer.lines(found.pdb_id, found.lines)


def _embedded(module: Module) -> PortablePdb | None:
    try:
        packed = module.pe.embedded_pdb if module.pe else None
        return read_portable_pdb(packed) if packed else None
    except MemoryFault:
        return None  # heap dumps leave out what can be read from the file again
    except AnalysisError as error:
        module.problems.append(f"the PDB inside {module.name}: {error}")
        return None

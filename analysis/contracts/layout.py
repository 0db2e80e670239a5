"""Where fields lie: the dump's own descriptor over the bundled one of its major version over the supplement."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from analysis.contracts.descriptor import Descriptor, parse_descriptor
from analysis.errors import Corrupt

#: Major versions with a bundled layout, newest first.
MAJORS = (10, 9, 8)
#: ``Layout.source`` of a layout that the dump's own descriptor was laid over.
OWN_DESCRIPTOR = "the descriptor in this dump"


@dataclass(frozen=True, slots=True)
class DacTableLayout:
    """Positions of globals in ``g_dacTable`` relative to slots that are found by what they point at.

    ``vtables_from_app_domain``: classes whose vtables fill the end of the table, from AppDomain's on ("" for one of no
    interest). ``frame_identifiers``: where a Frame begins with a small number instead of a vtable, the names by number.
    """

    slot_count: int
    after_gc_dac_globals: dict[str, int]
    after_string_method_table: dict[str, int]
    vtables_from_app_domain: list[str]
    frame_identifiers: list[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets in bytes by type and field, contract versions, and where they came from."""

    major: int
    types: dict[str, dict[str, int]]
    contracts: dict[str, int]
    dac_table: DacTableLayout
    verified_builds: dict[str, str]
    source: str

    def has(self, type_name: str, field: str) -> bool:
        return field in self.types.get(type_name, ())

    def offset(self, type_name: str, field: str) -> int:
        """Offset of a field. Raises Corrupt when neither descriptor nor supplement knows it."""
        try:
            return self.types[type_name][field]
        except KeyError:
            raise Corrupt(f"the layout of .NET {self.major} does not say where {type_name}.{field} lies") from None

    def with_descriptor(self, own: Descriptor) -> Layout:
        """The same layout with everything the dump's own descriptor says laid over it."""
        types = {name: {**self.types.get(name, {}), **own.types.get(name, {})} for name in {*self.types, *own.types}}
        return Layout(
            self.major, types, {**self.contracts, **own.contracts}, self.dac_table, self.verified_builds,
            OWN_DESCRIPTOR,
        )  # fmt: skip


@lru_cache
def bundled_layout(major: int) -> Layout:
    """The layout of a major version on Linux x64, from the package's own files."""
    supplement = _document(f"linux-x64-{major}.supplement.json")
    own = parse_descriptor(_document(f"linux-x64-{major}.json")) if major >= 9 else Descriptor()
    types = {name: dict(fields) for name, fields in supplement["types"].items()}
    for name, fields in own.types.items():
        types.setdefault(name, {}).update(fields)
    return Layout(
        major=major,
        types=types,
        contracts={**supplement.get("contracts", {}), **own.contracts},
        dac_table=DacTableLayout(**supplement["dac_table"]),
        verified_builds=supplement["verified_builds"],
        source=f"the bundled layout of .NET {major} on Linux x64",
    )


def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((files("analysis.contracts") / "layouts" / name).read_text())
    return document

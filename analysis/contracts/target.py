"""The dumped process as the runtime's own layout describes it: typed reads of named fields."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.contracts.layout import Layout
from analysis.contracts.locate import RuntimeModule
from analysis.errors import Corrupt
from analysis.memory.reader import Memory


@dataclass(frozen=True, slots=True)
class Target:
    """Memory, layout and globals (name -> address of the variable) of one runtime in one dump."""

    memory: Memory
    layout: Layout
    globals: dict[str, int]
    runtime: RuntimeModule

    def pointer(self, address: int, type_name: str, field: str) -> int:
        return self.memory.pointer(address + self.layout.offset(type_name, field))

    def u32(self, address: int, type_name: str, field: str) -> int:
        return self.memory.u32(address + self.layout.offset(type_name, field))

    def u16(self, address: int, type_name: str, field: str) -> int:
        return self.memory.u16(address + self.layout.offset(type_name, field))

    def u8(self, address: int, type_name: str, field: str) -> int:
        return self.memory.u8(address + self.layout.offset(type_name, field))

    def variable(self, name: str) -> int:
        """Address of a global variable. Raises Corrupt when the runtime's table does not hold it."""
        try:
            return self.globals[name]
        except KeyError:
            raise Corrupt(f"the runtime's global {name} was not found") from None

    def global_pointer(self, name: str) -> int:
        """The pointer stored in a global variable."""
        return self.memory.pointer(self.variable(name))

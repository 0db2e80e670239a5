"""The table of methods: one row per body of code, given out as frames and exceptions mention it."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.index.store import IndexWriter
from analysis.runtime.loader import Module
from analysis.runtime.stack_frames import CodeBody, Method

#: A method by its MethodDesc, its name where it has none, and the start of its code (0 where only the method is known).
_Key = tuple[int, str, int]


@dataclass
class MethodRows:
    """Hands out rows of ``methods``; ``write`` writes what was asked for."""

    modules: list[Module]
    _rows: dict[_Key, int] = field(default_factory=dict)
    _bodies: list[CodeBody] = field(default_factory=list)

    def row(self, body: CodeBody) -> int:
        """Row of a body of code, the same for the same method and start."""
        key = (body.method.address, "" if body.method.address else body.method.name, body.start)
        if key not in self._rows:
            self._rows[key] = len(self._bodies)
            self._bodies.append(body)
        return self._rows[key]

    def row_of_method(self, method: Method | None) -> int:
        """Row of a method without known code, -1 for none."""
        return self.row(CodeBody(0, method, method.kind)) if method else -1

    def write(self, writer: IndexWriter) -> None:
        place = {module.address: row for row, module in enumerate(self.modules)}
        methods = [body.method for body in self._bodies]
        writer.table("methods", {
            "method_desc": [m.address for m in methods],
            "name": [m.name for m in methods],
            "type_name": [m.type_name for m in methods],
            "method_name": [m.method_name for m in methods],
            "module": [place.get(m.module.address, -1) if m.module else -1 for m in methods],
            "token": [m.token for m in methods],
            "code": [body.kind for body in self._bodies],
            "tier": [body.tier for body in self._bodies],
            "start": [body.start for body in self._bodies],
            "own_code": [m.own_code for m in methods],
        })  # fmt: skip

"""The one exception family of the engine.

Every error that reaches a person says what happened, where, and what to do next; nothing else may leave the engine.
"""

from __future__ import annotations


class AnalysisError(Exception):
    """Base of all errors the engine raises on purpose.

    ``what`` says what happened, ``where`` the place in the file or in memory, ``remedy`` what the person can do.
    ``code`` is stable and machine readable; it is stored with a failed analysis.
    """

    code = "analysis_error"

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.remedy = what, where, remedy

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, f"({self.where})" if self.where else "", self.remedy) if part)

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "what": self.what, "where": self.where, "remedy": self.remedy}


class NotADump(AnalysisError):
    """The bytes are not a process dump at all (text, an executable, an archive without a dump)."""

    code = "not_a_dump"


class Unsupported(AnalysisError):
    """A dump, recognised by name, that this version cannot read (another architecture, format or runtime)."""

    code = "unsupported"


class Corrupt(AnalysisError):
    """A structure contradicts itself or its file: damaged, truncated or forged."""

    code = "corrupt"


class OverLimit(AnalysisError):
    """A count or size in the file is beyond the caps in ``analysis.limits``."""

    code = "over_limit"


class MemoryFault(AnalysisError):
    """Bytes at an address cannot be read.

    ``cause`` is one of ``not_captured`` (a mapping the dump left out), ``unmapped`` (no such mapping),
    ``file_truncated`` (the file ends before the bytes it promises), ``over_limit``.
    """

    code = "memory_fault"

    def __init__(self, address: int, length: int, cause: str) -> None:
        super().__init__(f"cannot read {length} bytes at {address:#x}: {cause}", where=f"address {address:#x}")
        self.address, self.length, self.cause = address, length, cause

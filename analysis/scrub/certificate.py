"""What a scrubbed copy still holds, for people and programs. The same dump gives the same certificate."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.scrub.ledger import Ledger

LEVEL = 2
LEVEL_NAME = "strict"
#: What can still be learnt from a copy, in words.
RESIDUAL_LEAKS = (
    "lengths of strings, arrays, paths and memory ranges, and how many objects of each type there are",
    "which object refers to which",
    "addresses",
    "names of types, fields, methods, modules and files without their directories, and the framework's version",
    "the structural fields: sizes and links of collections, states of tasks, timers and state machines, owners of locks, "
    "codes of exceptions, code that delegates call",
    "stack traces of exceptions and stacks of threads: code and places, no values",
    "which words on stacks were zero",
    "numbers in native memory, on stacks and in registers that look like an address the process had",
    "memory that a program asked the runtime to keep beside its types (RuntimeHelpers.AllocateTypeAssociatedMemory), whole",
    "native code and read-only data of libraries, as the files on disk hold them",
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file: SHA-256 in hexadecimal, size in bytes."""

    sha256: str
    size_bytes: int

    def as_dict(self) -> dict[str, object]:
        return {"sha256": self.sha256, "size_bytes": self.size_bytes}


@dataclass(frozen=True, slots=True)
class Certificate:
    """``kept`` and ``wiped``: bytes by rule; together the size of the file."""

    engine: str
    runtime: str
    kind: str
    original: Fingerprint
    result: Fingerprint
    ledger: Ledger

    def as_dict(self) -> dict[str, object]:
        ledger = self.ledger
        return {
            "level": LEVEL,
            "level_name": LEVEL_NAME,
            "engine": self.engine,
            "runtime": self.runtime,
            "dump_kind": self.kind,
            "original": self.original.as_dict(),
            "result": self.result.as_dict(),
            "kept_bytes": sum(ledger.kept.values()),
            "wiped_bytes": sum(ledger.wiped.values()),
            "rules": [{"rule": rule, "kept_bytes": ledger.kept[rule], "wiped_bytes": ledger.wiped[rule]} for rule in ledger.kept],
            "residual_leaks": list(RESIDUAL_LEAKS),
        }

"""A dump of a program that holds a thousand values made up just now, and the same dump with other values in the same places."""

from __future__ import annotations

import json
import os
import random
import string
import subprocess
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tests.analysis.fresh_dumps import LAB, unpacked_lab
from tests.explorer.canaries.canary import Canary, Scanner

#: Carriers that are context (D2): analysts see them, viewers do not. All others are values (D3).
CONTEXT = ("command line", "thread name", "message")
_LENGTH = 20
_LETTERS = "".join(sorted(set(string.ascii_letters + string.digits) - set("IOl01")))


@dataclass(frozen=True)
class PlantedDump:
    """A dump and what was planted in it."""

    path: Path
    canaries: tuple[Canary, ...]

    @property
    def context(self) -> tuple[Canary, ...]:
        return tuple(one for one in self.canaries if one.carrier in CONTEXT)

    @property
    def values(self) -> tuple[Canary, ...]:
        return tuple(one for one in self.canaries if one.carrier not in CONTEXT)

    @cached_property
    def scanner(self) -> Scanner:
        return Scanner(self.canaries)


def plant(directory: Path) -> PlantedDump:
    """Compile the program, run it, dump it."""
    lab = unpacked_lab()
    program, path, chance = directory / "planted.dll", directory / "planted.dmp", random.SystemRandom()
    _run(f"{lab}/csc.sh", str(program), "-nullable:enable", str(Path(__file__).with_name("Planted.cs")))
    told, *environment = ("".join(chance.choices(_LETTERS, k=_LENGTH)) for _ in range(7))
    settings = [f"PLANTED_{number}={value}" for number, value in enumerate(environment)]
    _run(str(LAB / "make-dump.sh"), str(path), "heap", told, "1", *settings, LAB=lab, PROGRAM=str(program))
    known = json.loads(path.with_suffix(".truth.json").read_text())
    canaries = (Canary(one["carrier"], one.get("text", ""), bytes.fromhex(one.get("bytes", ""))) for one in known)
    return PlantedDump(path, tuple(canaries))


def with_other_values(planted: PlantedDump, path: Path, changed: tuple[Canary, ...]) -> PlantedDump:
    """The same dump, byte for byte, but for ``changed``: each of them everywhere another of its length."""
    chance = random.Random(6)
    others = {
        one: Canary(one.carrier, "".join(chance.choices(_LETTERS, k=len(one.text))), chance.randbytes(len(one.raw)))
        for one in changed
    }
    return _with(planted, path, others)


def with_equal_values(planted: PlantedDump, path: Path) -> PlantedDump:
    """The same dump, but for one text that is now equal to another one of its carrier."""
    texts = [one for one in planted.values if one.text]
    one, other = next(pair for pair in pairwise(texts) if pair[0].carrier == pair[1].carrier == "string")
    return _with(planted, path, {other: Canary(other.carrier, one.text, other.raw)})


def _with(planted: PlantedDump, path: Path, others: dict[Canary, Canary]) -> PlantedDump:
    content, changed = bytearray(planted.path.read_bytes()), tuple(others)
    written = {held: new for one, other in others.items() for held, new in zip(one.in_memory, other.in_memory, strict=True)}
    for at, held, _ in Scanner(changed, as_held=True).places(bytes(content)):
        content[at : at + len(held)] = written[held]
    path.write_bytes(content)
    return PlantedDump(path, tuple(others.get(one, one) for one in planted.canaries))


def _run(*command: str, **settings: str) -> None:
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 0, f"the lab failed: {' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"

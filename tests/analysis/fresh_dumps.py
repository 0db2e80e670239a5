"""Dumps made while the tests run, by the lab beside the project (``../shared/lab``), with the reference reader's answers.

Nobody has looked at these dumps before: they show whether the engine reads dumps, or only the dumps it was written with.
"""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from analysis.dump import Dump
from analysis.reference_facts import reference_facts
from tests.analysis.comparison import Answers
from tests.analysis.reference_dumps import PROJECT, one_at_a_time

LAB = PROJECT.parent / "shared" / "lab"
_PROGRAMS = Path(__file__).parent / "programs"
_AT_ONCE = 2
_COMPILER_OPTIONS = ("-nullable:enable", "-nowarn:0649,0414,0169")
_SEGMENTS = "DOTNET_GCName=libclrgc.so"
_TWO_SERVER_HEAPS = ("DOTNET_gcServer=1", "DOTNET_GCHeapCount=2")


@dataclass(frozen=True)
class Recipe:
    """How one dump is made: its kind, the scenario, and the environment of the program (``own``: that in ``programs``)."""

    name: str
    kind: str
    scenario: str
    scale: int = 1
    environment: tuple[str, ...] = ()
    own: bool = False
    counted_as: ClassVar = "dumps made just now"


RECIPES = (
    Recipe("larger", "heap", "leak", 2),
    Recipe("server", "heap", "zoo", 1, _TWO_SERVER_HEAPS),
    Recipe("hard-limit", "heap", "zoo", 1, ("DOTNET_GCHeapHardLimit=0x10000000",)),
    Recipe("segments", "heap", "leak", 2, (_SEGMENTS, *_TWO_SERVER_HEAPS, "DOTNET_GCSegmentSize=0x400000")),
    Recipe("full", "full", "zoo"),
    Recipe("shapes", "heap", "shapes", own=True),
    Recipe("hoards", "heap", "hoards", own=True),
    Recipe("threads", "heap", "threads", own=True),
    Recipe("waits", "heap", "waits", own=True),
    Recipe("canaries", "heap", "canaries", environment=("CANARY_ENVIRONMENT=b3f8a1d65e7042c9",), own=True),
)


@dataclass(frozen=True)
class FreshDump:
    """A dump, what its program knew, and what the reference says about it."""

    name: str
    path: Path
    truth: dict[str, Any]
    reference: dict[str, Any]

    @cached_property
    def dump(self) -> Dump:
        return Dump(self.path)

    @cached_property
    def answers(self) -> Answers:
        return Answers(self.name, reference_facts(self.dump), self.reference)


class FreshDumps:
    """Makes all dumps in the background, two at a time, into ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.lab = unpacked_lab()
        program = self._program = directory / "unusual.dll"
        _run(Path(self.lab) / "csc.sh", str(program), *_COMPILER_OPTIONS, *map(str, sorted(_PROGRAMS.glob("*.cs"))))
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._made: dict[str, Future[FreshDump]] = {r.name: self._pool.submit(self._make, r, program) for r in RECIPES}

    def get(self, name: str) -> FreshDump:
        """The dump of the recipe ``name``. Raises AssertionError with the lab's own words when it could not be made."""
        return self._made[name].result()

    def small(self, kind: str, scenario: str) -> tuple[Path, dict[str, Any]]:
        """A dump of our own program without its heap, and what the program knew; nobody else's answers."""
        path = self._directory / f"{scenario}-{kind}.dmp"
        settings = {"LAB": self.lab, "PROGRAM": str(self._program)}
        _run(LAB / "make-dump.sh", str(path), kind, scenario, "1", settings=settings)
        return path, json.loads(path.with_suffix(".truth.json").read_text())

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _make(self, recipe: Recipe, program: Path) -> FreshDump:
        path = self._directory / f"{recipe.name}.dmp"
        answers = path.with_suffix(".oracle.json")
        settings = {"LAB": self.lab, **({"PROGRAM": str(program)} if recipe.own else {})}
        _run(
            LAB / "make-dump.sh",
            str(path),
            recipe.kind,
            recipe.scenario,
            str(recipe.scale),
            *recipe.environment,
            settings=settings,
        )
        _run(LAB / "oracle.sh", "facts", str(path), str(answers), settings=settings)
        truth = json.loads(path.with_suffix(".truth.json").read_text())
        return FreshDump(recipe.name, path, truth, json.loads(answers.read_text()))


def unpacked_lab() -> str:
    """Where the lab lies; unpacked the first time."""
    with one_at_a_time("unpack-lab"):
        return _run(LAB / "unpack.sh").strip()


def _run(*command: str | Path, settings: dict[str, str] | None = None) -> str:
    # The lab unpacks itself with the Python of the project it is called from.
    done = subprocess.run(command, env={**os.environ, **(settings or {})}, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, f"the lab failed: {' '.join(map(str, command))}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout

"""The reference reader on dumps that are not where their program ran: the lab's own program, and one that tells where values lie.

A scrubbed copy names no directories, so the files of the framework are found by name, as a symbol server finds them by id.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.scrub.structural_fields import STATE_MACHINE_FIELDS, STRUCTURAL_FIELDS
from tests.analysis.fresh_dumps import LAB

_SOURCES = Path(__file__).parent / "reader"
_USINGS = "global using System; global using System.IO; global using System.Linq; global using System.Collections.Generic;"
_LOADED = "DataTarget.LoadDump(dump)"
_LOADED_WITH_FILES = "DataTarget.LoadDump(dump, new DataTargetOptions { FileLocator = new Files() })"
_SECONDS = 300


class ReferenceReader:
    """Compiles both programs into ``directory``. Made where the lab is beside the project only."""

    def __init__(self, lab: Path, directory: Path) -> None:
        self._lab, self._directory = lab, directory / "reader"
        shutil.copytree(lab / "oracle", self._directory)
        usings = directory / "Usings.cs"
        usings.write_text(_USINGS)
        facts = directory / "Facts.cs"
        told = (LAB / "src" / "Oracle" / "Program.cs").read_text()
        assert _LOADED in told
        facts.write_text(told.replace(_LOADED, _LOADED_WITH_FILES))
        self._compile("facts", usings, facts, _SOURCES / "Files.cs")
        self._compile("payload", _SOURCES / "Files.cs", _SOURCES / "Payload.cs", _SOURCES / "Start.cs")

    def _compile(self, name: str, *sources: Path) -> None:
        reference = self._lab / "oracle" / "Microsoft.Diagnostics.Runtime.dll"
        options = ("-nullable:enable", "-nowarn:8766,8603", f"-r:{reference}")
        program = self._directory / f"{name}.dll"
        subprocess.run([self._lab / "csc.sh", program, *options, *sources], check=True, capture_output=True)
        for kind in ("deps", "runtimeconfig"):
            shutil.copy(self._directory / f"oracle.{kind}.json", self._directory / f"{name}.{kind}.json")

    def facts(self, dump: Path) -> dict[str, Any]:
        """What the reference reader says about a dump."""
        out = self._directory / "facts.json"
        self._run("facts", "facts", dump, out)
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    def payload(self, dump: Path) -> npt.NDArray[np.int64]:
        """Where it sees values: int64[n, 2], address and bytes."""
        listed, out = self._directory / "structural.txt", self._directory / "payload.bin"
        fields = [f"{owner}\t{name}" for owner, names in STRUCTURAL_FIELDS.items() for name in names]
        listed.write_text("\n".join([*fields, *(f"*\t{name}" for name in STATE_MACHINE_FIELDS)]))
        self._run("payload", "payload", dump, listed, out)
        return np.fromfile(out, np.int64).reshape(-1, 2)

    def _run(self, program: str, *arguments: str | Path) -> None:
        shared = self._lab / "dotnet" / "shared"
        framework = next((shared / "Microsoft.NETCore.App").iterdir())
        folders = (framework, next((shared / "Microsoft.AspNetCore.App").iterdir()), self._lab / "scenarios")
        settings = {"READER_FILES": ":".join(map(str, folders)), "ORACLE_DAC": str(framework / "libmscordaccore.so")}
        command = [self._lab / "dotnet" / "dotnet", self._directory / f"{program}.dll", *arguments]
        done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=_SECONDS)
        assert done.returncode == 0, done.stderr[-2000:]

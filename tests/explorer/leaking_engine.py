"""An engine that takes a mark out of the dump and leaves it wherever an engine can: log, errors, progress, index, values.

``python leaking_engine.py LENGTH MODE [values|memory] DUMP … --out PLACE``; the mark follows the ELF header of 64 bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def say(message: dict) -> None:
    print(json.dumps(message), flush=True)


def mark_in(dump: str, length: str) -> str:
    return Path(dump).read_bytes()[64 : 64 + int(length)].decode()


def analyse(mark: str, mode: str, out: Path) -> int:
    print(f"reading {mark}", file=sys.stderr, flush=True)
    say({"stage": "heap", "fraction": 0.5, "detail": mark})
    if mode == "refused":
        say({"error": {"code": "not_a_dump", "what": f"no runtime in {mark}", "where": mark, "remedy": mark}})
        return 3
    from tests import execution_builder
    from tests.index_builder import IndexSpec, TypeSpec, small_index

    types = [TypeSpec("System.String", 40, 48, 2, kind="string"), TypeSpec(f"Shop.{mark}", 25, 32), TypeSpec("Shop.Order", 9, 32)]
    findings = execution_builder._findings
    execution_builder._findings = lambda spec: json.loads(json.dumps(findings(spec)).replace("wait for each other", mark))
    execution = execution_builder.Execution(names=("", mark, "worker"), texts=(mark,))
    small_index(out, IndexSpec(types, execution, module_path=f"/srv/{mark}/Shop.dll", command_line=f"shop {mark}"))
    say({"done": True})
    return 0


def answer(mark: str, kind: str, out: Path) -> int:
    rows = [{"name": "text", "type_name": "System.String", "text": mark, "object": 0, "missing": ""}]
    out.write_text(json.dumps({"rows": rows, "more": False} if kind == "values" else {"hex": mark.encode().hex()}))
    say({"done": True})
    return 0


if __name__ == "__main__":
    length, mode, *arguments = sys.argv[1:]
    if arguments[0] in ("values", "memory"):
        sys.exit(answer(mark_in(arguments[1], length), arguments[0], Path(arguments[-1])))
    sys.exit(analyse(mark_in(arguments[0], length), mode, Path(arguments[-1])))

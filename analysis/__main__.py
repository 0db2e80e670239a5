"""The command line of the engine, and the child process of the web application.

    python -m analysis DUMP --out DIR        write the index; progress and the outcome as JSON lines on stdout
    python -m analysis unpack ARCHIVE --out F --limit BYTES   the dump inside a .gz, .zst or .zip as the plain file F
    python -m analysis stat DUMP             print types with counts and sizes, like ``dumpheap -stat``
    python -m analysis clrstack DUMP         print the managed stacks of all threads, like ``clrstack -all``
    python -m analysis facts DUMP OUT.json   write what the engine knows in the reference reader's schema
    python -m analysis symbols PDB --out F   keep the source lines of a portable PDB (or of a .dll with one inside) in F
    python -m analysis query INDEX SQL --out F   answer the SELECT in the file SQL over an index, as JSON in F
    python -m analysis values DUMP ADDRESS --out F   what one object holds, as JSON in F
    python -m analysis registers DUMP THREAD --out F   registers of the operating system's thread, as JSON in F
    python -m analysis memory DUMP ADDRESS LENGTH --out F   raw memory, as JSON with hexadecimal digits in F
    python -m analysis search DUMP INDEX TEXT --out F   strings that contain the text in the file TEXT, as JSON in F
    python -m analysis scrub DUMP --out F --certificate F   a copy without values, and what it still holds as JSON
    python -m analysis warm                  compile the kernels ahead
    python -m analysis walls --other FILE    try from inside what a captured reader would; a JSON line for each attempt

What reads a file that somebody sent puts walls round itself first (``analysis.sandbox``).
Exit codes: 0 done, 2 wrong arguments, 3 refused or failed with a reason (the last line says it).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from analysis.errors import AnalysisError
from analysis.kernels.cache import cache_base
from analysis.sandbox import confine

_REFUSED = 3
_SECONDS_BETWEEN_REPORTS = 0.5
Confined = Callable[[list[Path], list[Path]], None]


def main(arguments: list[str], confined: Confined = lambda read, write: None) -> int:
    """One command; its exit code. ``confined`` is called with what it reads and writes before it opens any of it: a process
    of its own puts walls round itself then, which it never gets rid of."""
    command = arguments[0] if arguments else ""
    try:
        if command == "stat":
            return _stat(_path(arguments, "stat"))
        if command == "clrstack":
            return _clrstack(_path(arguments, "clrstack"))
        if command == "facts":
            return _facts(arguments)
        if command == "unpack":
            return _unpack(arguments, confined)
        if command == "symbols":
            return _symbols(arguments, confined)
        if command == "query":
            return _query(arguments, confined)
        if command == "values":
            return _values(arguments, confined)
        if command == "registers":
            return _registers(arguments, confined)
        if command == "memory":
            return _memory(arguments, confined)
        if command == "search":
            return _search(arguments, confined)
        if command == "scrub":
            return _scrub(arguments, confined)
        if command == "warm":
            return _warm()
        if command == "walls":
            return _walls(arguments)
        return _analyse(arguments, confined)
    except AnalysisError as error:
        _say({"error": error.as_dict()})
        return _REFUSED
    except OSError as error:
        remedy = "Check that the file exists, can be read, and that the disk is not full."
        what = error.strerror or "the file cannot be read"
        _say({"error": {"code": "io_error", "what": what, "where": str(error.filename or ""), "remedy": remedy}})
        return _REFUSED


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _path(arguments: list[str], name: str) -> Path:
    parser = argparse.ArgumentParser(prog=f"python -m analysis {name}")
    parser.add_argument("dump", type=Path)
    path: Path = parser.parse_args(arguments[1:]).dump
    return path


def _analyse(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m analysis", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dump", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="directory for the index; it is created")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    confined([options.dump], [options.out])
    from analysis.pipeline import analyse

    analyse(options.dump, options.out, _say_progress)
    _say({"done": True})
    return 0


def _stat(path: Path) -> int:
    from analysis.dump import Dump

    dump = Dump(path)
    walked = dump.walk()
    if walked is None:
        raise AnalysisError(f"this {dump.kind} dump holds no heap", remedy="Take a dump of type heap or full.")
    count = len(walked.types)
    counts, sizes = walked.types.counts[:count].sum(axis=1), walked.types.sizes[:count].sum(axis=1)
    lines = ["              MT    Count    TotalSize Class Name"]
    for kind in sorted(range(count), key=lambda k: int(sizes[k])):
        if counts[kind]:
            address = walked.types.method_tables[kind]
            lines.append(f"{address:016x} {counts[kind]:>8,} {sizes[kind]:>12,} {dump.runtime.types.name(address)}")
    lines.append(f"Total {walked.object_count:,} objects, {int(sizes.sum()):,} bytes, {len(walked.gaps):,} gaps")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _clrstack(path: Path) -> int:
    from analysis.dump import Dump
    from analysis.runtime.stack_frames import FrameKind

    for stack in Dump(path).stacks:
        if stack.thread is None or not stack.os_id:
            continue
        lines = [f"OS Thread Id: {stack.os_id:#x}", "        Child SP               IP Call Site"]
        for frame in stack.frames:
            if frame.kind != FrameKind.NATIVE:
                name = frame.method.name if frame.method else ""
                mark = f"[{frame.label}: {frame.sp:016x}] " if frame.label else ""
                lines.append(f"{frame.sp:016X} {frame.ip:016X} {mark}{name}")
        lines += [f"        stopped: {stack.stopped}"] if stack.stopped else []
        sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _facts(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis facts")
    parser.add_argument("dump", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(arguments[1:])
    from analysis.dump import Dump
    from analysis.reference_facts import reference_facts

    options.out.write_text(json.dumps(reference_facts(Dump(options.dump)), indent=1))
    return 0


def _unpack(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis unpack")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="file for the dump; it is created")
    parser.add_argument("--limit", type=int, required=True, help="the most bytes that may come out")
    options = parser.parse_args(arguments[1:])
    confined([options.archive], [options.out.parent])
    from analysis.archives import unpack

    told = 0.0

    def progress(size_bytes: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_BETWEEN_REPORTS:
            told = time.monotonic()
            _say({"stage": "unpack", "fraction": 0.0, "detail": f"{size_bytes >> 20:,} MiB unpacked"})

    unpack(options.archive, options.out, limit_bytes=options.limit, progress=progress)
    _say({"done": True})
    return 0


def _symbols(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis symbols")
    parser.add_argument("pdb", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="file for the lines; see analysis.index.lines")
    options = parser.parse_args(arguments[1:])
    confined([options.pdb], [options.out.parent])
    from analysis.limits import LIMITS
    from analysis.runtime.portable_pdb import read_portable_pdb

    with options.pdb.open("rb") as file:
        # One byte more than is allowed, so that a larger file is seen to be one.
        found = read_portable_pdb(file.read(LIMITS.pdb_bytes + 1))
    found.lines.save(options.out)
    counts = {"documents": len(found.lines.documents), "methods": len(found.lines.methods), "points": len(found.lines.points)}
    _say({"done": True, "pdb_id": found.pdb_id, **counts, "problems": list(found.problems)})
    return 0


def _query(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis query")
    parser.add_argument("index", type=Path)
    parser.add_argument("sql", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="file for the answer: columns, rows, more, seconds")
    parser.add_argument(
        "--highest", type=int, default=1, help="the most sensitive data class that may be asked (docs/security.md)"
    )
    options = parser.parse_args(arguments[1:])
    confined([options.index, options.sql], [options.out.parent])
    from analysis.index.columns import DataClass
    from analysis.index.store import open_index

    try:
        from analysis.query import run_query
    except ModuleNotFoundError:
        remedy = "Install duckdb beside the server, or run it with Python 3.11 on x64 Linux, for which it is pinned."
        raise AnalysisError("SQL is answered by DuckDB, which is not installed here", remedy=remedy) from None
    found = run_query(open_index(options.index).up_to(DataClass(options.highest)), options.sql.read_text())
    options.out.write_text(json.dumps(found.as_dict()))
    _say({"done": True, "rows": len(found.rows)})
    return 0


def _values(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis values")
    parser.add_argument("dump", type=Path)
    parser.add_argument("address", type=lambda text: int(text, 16))
    parser.add_argument("--out", type=Path, required=True, help="file for the values")
    options = parser.parse_args(arguments[1:])
    confined([options.dump], [options.out.parent])
    from analysis.dump import Dump
    from analysis.values import object_values

    options.out.write_text(json.dumps(object_values(Dump(options.dump), options.address).as_dict()))
    _say({"done": True})
    return 0


def _registers(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis registers")
    parser.add_argument("dump", type=Path)
    parser.add_argument("thread", type=int)
    parser.add_argument("--out", type=Path, required=True, help="file for the registers: numbers by their names")
    options = parser.parse_args(arguments[1:])
    confined([options.dump], [options.out.parent])
    from analysis.memory.elf_core import open_elf_core
    from analysis.values import thread_registers

    options.out.write_text(json.dumps(thread_registers(open_elf_core(options.dump), options.thread)))
    _say({"done": True})
    return 0


def _memory(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis memory")
    parser.add_argument("dump", type=Path)
    parser.add_argument("address", type=lambda text: int(text, 16))
    parser.add_argument("length", type=int)
    parser.add_argument("--out", type=Path, required=True, help="file for the bytes: as many as the dump holds from there on")
    options = parser.parse_args(arguments[1:])
    confined([options.dump], [options.out.parent])
    from analysis.dump import Dump

    options.out.write_text(json.dumps({"hex": Dump(options.dump).core.memory.captured(options.address, options.length).hex()}))
    _say({"done": True})
    return 0


def _scrub(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis scrub")
    parser.add_argument("dump", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="file for the copy; it appears when it is whole")
    parser.add_argument("--certificate", type=Path, required=True, help="file for what the copy still holds, as JSON")
    options = parser.parse_args(arguments[1:])
    confined([options.dump], [options.out.parent, options.certificate.parent])
    from analysis.scrub.copying import scrub

    scrub(options.dump, options.out, options.certificate, _say_progress)
    _say({"done": True})
    return 0


def _say_progress(stage: str, fraction: float, detail: str) -> None:
    _say({"stage": stage, "fraction": round(fraction, 3), "detail": detail})


def confine_to(read: list[Path], write: list[Path]) -> None:
    """Walls first. Compiled kernels may be read and kept: the server gives every analysis a copy of its own."""
    kernels = cache_base()
    kernels.mkdir(parents=True, exist_ok=True)
    confine(read, [*write, kernels])


def _search(arguments: list[str], confined: Confined) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis search")
    parser.add_argument("dump", type=Path)
    parser.add_argument("index", type=Path)
    parser.add_argument("text", type=Path, help="file with what the strings contain: command lines are seen by others")
    parser.add_argument("--any-case", action="store_true")
    parser.add_argument("--out", type=Path, required=True, help="file for the strings: rows of objects, never texts")
    options = parser.parse_args(arguments[1:])
    confined([options.dump, options.index, options.text], [options.out.parent])
    from analysis.dump import Dump
    from analysis.index.store import open_index
    from analysis.text_search import find_text

    index, text = open_index(options.index).structure, options.text.read_text()
    options.out.write_text(json.dumps(find_text(Dump(options.dump), index, text, any_case=options.any_case).as_dict()))
    _say({"done": True})
    return 0


def _walls(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis walls")
    parser.add_argument("--other", type=Path, required=True, help="a file in a directory that must be out of reach")
    parser.add_argument("--scratch", type=Path, required=True, help="a directory that may be written")
    options = parser.parse_args(arguments[1:])
    from analysis.sandbox.probes import PROBES, Place, attempt

    for wall in confine([], [options.scratch]):
        _say({"wall": wall.name, "missing": wall.missing})
    place = Place(options.other, options.scratch, options.other.parent)
    found = {name: attempt(name, place) for name in PROBES}
    for name, problem in found.items():
        _say({"attempt": name, "problem": problem})
    return 1 if any(found.values()) else 0


def _warm() -> int:
    from analysis.graph.warm import compile_graph_kernels
    from analysis.heap.warm import compile_kernels
    from analysis.scrub.warm import compile_scrub_kernels
    from analysis.secrets.warm import compile_secret_kernels

    seconds = compile_kernels() + compile_graph_kernels() + compile_secret_kernels() + compile_scrub_kernels()
    sys.stdout.write(f"kernels ready in {seconds:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], confine_to))

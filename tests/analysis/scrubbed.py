"""Scrubbed copies for tests: made once for each dump, refilled originals, and what two sets of facts differ in."""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.insight.execution import Execution
from analysis.scrub import copying
from analysis.scrub.copying import scrub
from analysis.scrub.intervals import Intervals, intervals, subtract
from analysis.scrub.ledger import UNCLAIMED, Claim, Ledger, Treatment
from analysis.scrub.paths import kept_from
from analysis.scrub.structural_fields import STATE_MACHINE_FIELDS, STRUCTURAL_FIELDS

#: Facts that are values, by their place among all facts: what a copy may differ in.
DECLARED_DIFFERENCES = re.compile(
    r"strings_sample\.\d+\.value|duplicate_strings.*|exceptions\.\d+\.message|threads\.\d+\.(exception\.message|name)"
    r"|modules\.\d+\.domain"
)
_PROGRAM_HEADER = np.dtype(
    [("type", "<u4"), ("flags", "<u4"), ("offset", "<i8"), ("address", "<i8"), ("physical", "<u8"), ("size", "<i8"),
     ("memory", "<u8"), ("align", "<u8")]
)  # fmt: skip


MISSED_RULES = "G26 scrubbed copy: rules that a test misses when they are taken away"
#: Rules without which our own facts are others.
KEEPING = (
    "headers of the file", "notes of threads, process and mapped files", "registers that are pointers", "names of mapped files",
    "marks of frames and exceptions on stacks", "structures of the runtime", UNCLAIMED,
)  # fmt: skip
#: Without one of these marks are left, or more is kept than may be.
WIPING = (
    "literals, constants and attributes in metadata", "numbers in static fields", "stacks below the stack pointer",
    "contents of objects and unused parts of the heap",
)  # fmt: skip
#: Without one of these the reference reader says something else, or nothing.
FOR_OTHER_READERS = (
    "headers of other mapped images", "numbers of the runtime for other readers", "native libraries, read-only parts",
    "all other memory",
)  # fmt: skip
#: A text that is looked for is at least this long; fewer of its letters may be the lower part of a pointer.
_TELLING, _LETTERS = 8, 4
#: Ranges that are filled at once.
_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Copy:
    """A scrubbed copy and its certificate."""

    path: Path
    certificate: dict[str, Any]


def make_copy(dump: Path, directory: Path, name: str = "copy") -> Copy:
    out, certificate = directory / f"{name}.dmp", directory / f"{name}.json"
    scrub(dump, out, certificate, lambda stage, fraction, detail: None)
    return Copy(out, json.loads(certificate.read_text()))


def differences(left: Any, right: Any, place: str = "") -> list[str]:
    """Places at which two sets of facts differ, without the declared ones."""
    found: list[str] = []
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            found += differences(left.get(key), right.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for row, (one, other) in enumerate(zip(left, right, strict=True)):
            found += differences(one, other, f"{place}.{row}")
    elif left != right and not DECLARED_DIFFERENCES.fullmatch(place):
        found.append(place)
    return found


def texts_left(copy: Path) -> list[str]:
    """Names of threads and messages of exceptions in a copy that say anything."""
    dump = Dump(copy)
    texts = [thread.name for thread in dump.threads.threads]
    texts += [row.exception.message or "" for row in Execution(dump, dump.walk()).exceptions.rows]
    return [text for text in texts if text and text.strip("\0")]


def places_left(original: Path, copy: Path) -> list[str]:
    """Where memory outside images held a directory, an argument or a variable of the environment, and the copy still has letters
    of it. In paths of modules slashes stand for them."""
    dump = Dump(original)
    memory, started = dump.core.memory, dump.initial_stack
    texts = {image.path[: kept_from(image.path)] for image in dump.images}
    if started:
        texts |= {"=".join(pair) for pair in started.environment}
        texts |= {text[: text.rfind("/") + 1] or text for text in started.arguments}
    forms = [text.encode(code) for text in texts if len(text) >= _TELLING for code in ("utf-8", "utf-16-le")]
    captured = np.column_stack([memory.segments.starts, memory.segments.ends])
    images = intervals((image.base, image.end) for image in dump.images)
    before, after = memory.raw(0, memory.size_bytes), np.memmap(copy, np.uint8, "r")
    found = []
    for first, last in copying.in_file(memory, subtract(captured, images)).tolist():
        for text in forms:
            at = before.find(text, first, last)
            while at >= 0:
                same = after[at : at + len(text)] == np.frombuffer(text, np.uint8)
                told = bytes(letter for letter, kept in zip(text, same, strict=True) if kept).strip(b"/\0")
                found += [f"{told!r} at {at:#x}"] if len(told) >= _LETTERS else []
                at = before.find(text, at + 1, last)
    return found


def refill(dump: Path, out: Path, payload: npt.NDArray[np.int64], seed: int) -> int:
    """A copy of a dump with random bytes in all of ``payload`` (address, length); how many bytes."""
    shutil.copyfile(dump, out)
    data = np.memmap(out, np.uint8, "r+")
    (at,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    headers = np.frombuffer(data[at : at + count * _PROGRAM_HEADER.itemsize].tobytes(), _PROGRAM_HEADER)
    loads = np.sort(headers[(headers["type"] == 1) & (headers["size"] > 0)], order="address")
    row = np.maximum(np.searchsorted(loads["address"], payload[:, 0], side="right") - 1, 0)
    into = payload[:, 0] - loads["address"][row]
    there = (into >= 0) & (into + payload[:, 1] <= loads["size"][row])
    starts, lengths = (loads["offset"][row] + into)[there], payload[there, 1]
    random = np.random.default_rng(seed)
    for first in range(0, len(starts), _AT_ONCE):
        some, long = starts[first : first + _AT_ONCE], lengths[first : first + _AT_ONCE]
        places = np.repeat(some - np.cumsum(long) + long, long) + np.arange(long.sum())
        data[places] = random.integers(0, 256, len(places), np.uint8)
    data.flush()
    return int(lengths.sum())


def told_payload(answers: dict[str, Any]) -> npt.NDArray[np.int64]:
    """Where stored answers of the reference reader see values: strings and objects of its samples whose fields it lists. They do
    not tell which type declares a field, so every field that is called like a structural one is left out."""
    structural = STATE_MACHINE_FIELDS.union(*STRUCTURAL_FIELDS.values())
    fields = {known["name"]: known["instance"] for known in answers["fields"].values()}
    sizes = {"Boolean": 1, "Int8": 1, "UInt8": 1, "Char": 2, "Int16": 2, "UInt16": 2, "Int32": 4, "UInt32": 4, "Float": 4,
             "Int64": 8, "UInt64": 8, "Double": 8}  # fmt: skip
    found = [(int(one["address"], 16) + 12, 2 * one["length"]) for one in answers["strings_sample"]]
    for one in answers["objects_sample"]:
        address = int(one["address"], 16)
        element = re.fullmatch(r"System\.(Byte|Char|Int64|Double|Int16|UInt16|UInt32|UInt64)\[\]", one["type"])
        if element and one["size"] > 24:
            found.append((address + 16, one["size"] - 24))
        for field in fields.get(one["type"], ()) if one["type"] != "System.String" else ():
            if field["element"] in sizes and field["Name"] not in structural:
                found.append((address + 8 + field["Offset"], sizes[field["element"]]))
    return np.array(found, np.int64).reshape(-1, 2)


def without(rule: str) -> type[Ledger]:
    """A ledger in which one rule claims nothing."""

    class Lacking(Ledger):
        def claim(self, name: str, treatment: Treatment, wanted: Intervals) -> Claim:
            return super().claim(name, treatment, wanted[:0] if name == rule else wanted)

    return Lacking

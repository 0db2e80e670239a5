"""Arguments and environment from the top of the first thread's stack, laid out as the kernel does; and when they are damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from analysis.memory.elf_core import open_elf_core
from analysis.memory.initial_stack import InitialStack, read_initial_stack
from tests.analysis.reference_dumps import ReferenceDump
from tests.analysis.synthetic_core import SyntheticCore

_TOP = 0x7FFE_0000_2000
_AUXV, _EXECFN = 6, 31
_VECTOR = [(33, 0x7FFE_1000_0000), (16, 0xBFEBFBFF), (6, 4096), (17, 100), (3, 0x40)]


def _stack(arguments: list[bytes], environment: list[bytes], *, pointers: list[int] | None = None) -> tuple[bytes, int, bytes]:
    """The bytes of the stack, where the path of the program stands in them, and the body of NT_AUXV."""
    strings = b"".join(text + b"\0" for text in (*arguments, *environment))
    name = b"./shop\0"
    end = _TOP - 8
    path = end - len(name)
    first = path - len(strings)
    places, at = [], first
    for text in (*arguments, *environment):
        places.append(at)
        at += len(text) + 1
    vector = b"".join(struct.pack("<QQ", *one) for one in (*_VECTOR, (_EXECFN, path), (0, 0)))
    own = pointers if pointers is not None else places[len(arguments) :]
    words = [len(arguments), *places[: len(arguments)], 0, *own, 0]
    table = struct.pack(f"<{len(words)}Q", *words) + vector
    begin = (first - len(table) - 64) & ~15
    body = table + bytes(first - begin - len(table)) + strings + name + bytes(8)
    return body, begin, vector


def _read(tmp_path: Path, body: bytes, begin: int, vector: bytes) -> InitialStack | None:
    core = SyntheticCore()
    core.notes.append((_AUXV, vector))
    path = tmp_path / "core"
    path.write_bytes(core.thread_note(1).segment(begin, body).build())
    return read_initial_stack(open_elf_core(path))


def test_arguments_and_environment_are_read(tmp_path: Path) -> None:
    arguments, variables = [b"./shop", b"--port", b"80", b""], [b"HOME=/home/app", b"TOKEN=a=b", b"EMPTY=", b"NAME=\xc3\xa9\xff"]
    found = _read(tmp_path, *_stack(arguments, variables))
    assert found is not None
    assert found.arguments == ["./shop", "--port", "80", ""]
    assert found.environment == [("HOME", "/home/app"), ("TOKEN", "a=b"), ("EMPTY", ""), ("NAME", "é\ufffd")]


def test_a_copy_of_the_vector_lower_on_the_stack_is_not_taken_for_it(tmp_path: Path) -> None:
    body, begin, vector = _stack([b"./shop"], [b"A=1"])
    found = _read(tmp_path, bytes(32) + vector + body, begin - 32 - len(vector), vector)
    assert found == InitialStack(["./shop"], [("A", "1")])


def test_pointers_to_anywhere_give_nothing_and_pointers_to_one_text_not_more_than_the_stack(tmp_path: Path) -> None:
    found = _read(tmp_path, *_stack([b"./shop"], [b"A=1"], pointers=[0xFFFF_FFFF_FFFF_FFFF, 0x1000, _TOP]))
    assert found is not None and found.environment == []
    body, begin, vector = _stack([b"./shop"], [b"A=" + b"x" * 4000], pointers=[_TOP - 8 - 7 - 4003] * 500)
    found = _read(tmp_path, body, begin, vector)
    assert found is not None
    assert sum(len(name) + len(value) for name, value in found.environment) <= len(body)


@pytest.mark.parametrize("cut", [64, 200])
def test_a_stack_that_is_not_there_is_none(tmp_path: Path, cut: int) -> None:
    body, begin, vector = _stack([b"./shop"], [b"A=1"])
    assert _read(tmp_path, body[:-cut], begin, vector) is None
    assert _read(tmp_path, bytes(len(body)), begin, vector) is None
    assert _read(tmp_path, body, begin, b"") is None


def test_every_real_dump_holds_what_its_process_was_started_with(reference: ReferenceDump) -> None:
    found = read_initial_stack(open_elf_core(reference.path))
    assert found is not None
    assert found.arguments and "PATH" in dict(found.environment)

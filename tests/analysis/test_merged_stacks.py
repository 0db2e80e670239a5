"""Merged stacks: what is folded, how stacks are joined, and that the tree of a real dump adds up."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from analysis.dump import Dump
from analysis.index.store import IndexWriter, open_index
from analysis.insight.merged_stacks import Fold, MergedStacks, find_folds, merge_stacks
from analysis.limits import LIMITS
from analysis.runtime.loader import Module
from analysis.runtime.stack_frames import CodeBody, FrameKind, Method, StackFrame, ThreadStack
from analysis.tables.merged_stacks import write_merged_stacks
from analysis.tables.methods import MethodRows
from tests.analysis.reference_dumps import reference_dumps

_FRAMEWORK = "/usr/share/dotnet/shared/Microsoft.NETCore.App/10.0.0/System.Private.CoreLib.dll"


def module(path: str) -> Module:
    return Module(None, 0x1000, path, image_base=0x10000)  # type: ignore[arg-type]


OWN, LIBRARY = module("/app/shop.dll"), module(_FRAMEWORK)


def frame(name: str, owner: Module = OWN) -> StackFrame:
    """A managed frame of the method ``name``; in lower case it is the framework's."""
    owner = LIBRARY if name.islower() else owner
    method = Method(sum(map(ord, name)) * 8, name, "T", name, owner, 0x06000001)
    return StackFrame(FrameKind.MANAGED, 0x100, 0x200, code=CodeBody(0x100, method, "JIT"), method=method)


def stack(text: str) -> ThreadStack:
    """A stack of one-letter methods as one reads it, innermost first."""
    return ThreadStack(None, 1, [frame(letter) for letter in text])


def drawn(merged: MergedStacks) -> list[str]:
    """One line for each node in preorder: depth, method, threads, turns."""
    return [
        f"{node.depth} {node.frame.method.name if node.frame.method else ''} {len(node.threads)} x{node.repeats}"
        for node in merged.nodes
    ]


# Folding


@pytest.mark.parametrize(
    "sequence, folds",
    [
        ("", []),
        ("abcdef", []),
        ("aaa", []),
        ("aaaa", [Fold(0, 1, 4)]),
        ("xaaaaay", [Fold(1, 1, 5)]),
        ("xababababy", [Fold(1, 2, 4)]),
        ("xababababay", [Fold(1, 2, 4)]),
        ("aaaabbbb", [Fold(0, 1, 4), Fold(4, 1, 4)]),
        ("aabaabaabaab", [Fold(0, 3, 4)]),
    ],
)
def test_what_repeats_is_found(sequence: str, folds: list[Fold]) -> None:
    assert find_folds(sequence) == folds


def test_folds_are_true_and_do_not_overlap() -> None:
    chance = random.Random(4)
    for _ in range(300):
        turn = [chance.randrange(3) for _ in range(chance.randrange(1, 6))]
        noise = [[chance.randrange(5) for _ in range(chance.randrange(12))] for _ in range(2)]
        sequence = noise[0] + turn * chance.randrange(1, 30) + noise[1]
        end = 0
        for fold in find_folds(sequence):
            assert fold.start >= end and fold.repeats >= 4
            first = sequence[fold.start : fold.start + fold.period]
            end = fold.start + fold.period * fold.repeats
            assert sequence[fold.start : end] == first * fold.repeats


def test_a_stack_at_the_limit_is_folded_in_time() -> None:
    began = time.perf_counter()
    assert find_folds([0, *[1, 2, 3] * 60_000, 4]) == [Fold(1, 3, 60_000)]
    assert time.perf_counter() - began < 5


# Merging


def test_stacks_are_joined_from_the_outermost_frame_on() -> None:
    merged = merge_stacks([stack("CBA"), stack("DBA"), stack("CBA"), stack("Z"), ThreadStack(None, 0)])
    assert drawn(merged) == ["0 A 3 x1", "1 B 3 x1", "2 C 2 x1", "2 D 1 x1", "0 Z 1 x1"]
    assert [node.end for node in merged.nodes] == [4, 4, 3, 4, 5]
    assert merged.leaf == [2, 3, 2, 4, -1]
    assert merged.group == [0, 1, 0, 2, -1]


def test_recursion_is_one_node() -> None:
    merged = merge_stacks([stack("X" + "R" * 500 + "M"), stack("X" + "R" * 20 + "M"), stack("Y" + "BA" * 9 + "M")])
    assert drawn(merged) == ["0 M 3 x1", "1 R 2 x500", "2 X 2 x1", "1 A 1 x9", "2 B 1 x9", "3 Y 1 x1"]
    assert merged.group == [0, 1, 2], "stacks of another depth are not the same"


def test_native_and_runtime_frames_are_left_out() -> None:
    mixed = stack("BA")
    mixed.frames.insert(0, StackFrame(FrameKind.NATIVE, 1, 2, "libc.so.6!read+0x10"))
    mixed.frames.insert(2, StackFrame(FrameKind.RUNTIME, 1, 2, "InlinedCallFrame"))
    merged = merge_stacks([mixed, ThreadStack(None, 5, [StackFrame(FrameKind.NATIVE, 1, 2, "libc.so.6+0x1")])])
    assert drawn(merged) == ["0 A 1 x1", "1 B 1 x1"]
    assert (merged.leaf, merged.group) == ([1, -1], [0, -1])


def test_the_innermost_frame_of_own_code() -> None:
    assert merge_stacks([stack("waB"), stack("AB"), stack("wp"), ThreadStack(None, 0)]).own_frame == [2, 0, -1, -1]


def test_the_tree_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.insight.merged_stacks.LIMITS", type(LIMITS)(merged_nodes=3))
    merged = merge_stacks([stack("DCBA"), stack("FEBA"), stack("CBA")])
    assert drawn(merged) == ["0 A 3 x1", "1 B 3 x1", "2 C 2 x1"]
    assert merged.leaf == [2, 1, 2]


def test_ten_thousand_stacks_are_merged_in_time() -> None:
    chance = random.Random(1)
    stacks = [stack("".join(chance.choice("AB") for _ in range(30)) + "M") for _ in range(10_000)]
    began = time.perf_counter()
    merged = merge_stacks(stacks)
    assert time.perf_counter() - began < 20
    assert len(merged.nodes[0].threads) == 10_000


# Real dumps


def test_the_tree_of_a_real_dump_adds_up(dump: Dump, tmp_path: Path) -> None:
    """Every thread with managed frames passes through one root; a node's children hold no more threads than it does."""
    managed = dump.stacks[: len(dump.threads.threads)]
    merged, methods = merge_stacks(managed), MethodRows(dump.runtime.modules)
    writer = IndexWriter(tmp_path, "test")
    write_merged_stacks(writer, dump, merged, methods)
    methods.write(writer)
    writer.finish()
    index = open_index(tmp_path)
    parent, end, threads, method = (
        index.column("merged_stacks", name).tolist() for name in ("parent", "end", "threads", "method")
    )
    with_frames = sum(any(f.kind is FrameKind.MANAGED for f in one.frames) for one in managed)
    assert sum(count for count, above in zip(threads, parent, strict=True) if above < 0) == with_frames
    for row, above in enumerate(parent):
        children = [child for child in range(row + 1, end[row]) if parent[child] == row] if end[row] - row < 2000 else []
        assert sum(threads[child] for child in children) <= threads[row]
        assert above < row < end[row] <= len(parent)
    assert not method or min(method) >= 0
    folds = list(zip(*(index.column("frame_folds", name).tolist() for name in ("first_frame", "period", "repeats")), strict=True))
    assert all(a + period * repeats <= b for (a, period, repeats), (b, _, _) in pairwise(folds))


def test_a_stack_overflow_becomes_a_handful_of_nodes() -> None:
    path = next((dump.path for dump in reference_dumps() if dump.name == "net10/stackoverflow"), None)
    if path is None:
        pytest.skip("the families of dumps are not there")
    dump = Dump(path)
    merged = merge_stacks(dump.stacks[: len(dump.threads.threads)])
    deepest = max(merged.nodes, key=lambda node: node.repeats)
    assert deepest.repeats > 30_000 and len(merged.nodes) < 100
    assert deepest.frame.method is not None and deepest.frame.method.method_name == "Recurse"

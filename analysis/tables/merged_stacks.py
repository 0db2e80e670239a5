"""Tables merged_stacks and frame_folds."""

from __future__ import annotations

from analysis.dump import Dump
from analysis.index.store import IndexWriter
from analysis.insight.merged_stacks import MergedStacks, find_folds, frame_key
from analysis.tables.methods import MethodRows
from analysis.tables.stacks import first_frames


def write_merged_stacks(writer: IndexWriter, dump: Dump, merged: MergedStacks, methods: MethodRows) -> None:
    """merged_stacks and frame_folds."""
    nodes = merged.nodes
    writer.table("merged_stacks", {
        "parent": [node.parent.row if node.parent else -1 for node in nodes],
        "end": [node.end for node in nodes],
        "depth": [node.depth for node in nodes],
        "method": [methods.row(node.frame.code) if node.frame.code else -1 for node in nodes],
        "label": [node.frame.label for node in nodes],
        "threads": [len(node.threads) for node in nodes],
        "repeats": [node.repeats for node in nodes],
    })  # fmt: skip
    starts = first_frames(dump.stacks)
    folds = [
        (row, starts[row] + fold.start, fold.period, fold.repeats)
        for row, stack in enumerate(dump.stacks[: len(dump.threads.threads)])
        for fold in find_folds([frame_key(frame) for frame in stack.frames])
    ]
    writer.table("frame_folds", {
        "thread": [row for row, *_ in folds],
        "first_frame": [first for _, first, *_ in folds],
        "period": [period for *_, period, _ in folds],
        "repeats": [repeats for *_, repeats in folds],
    })  # fmt: skip

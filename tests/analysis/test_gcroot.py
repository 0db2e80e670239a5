"""Roots and paths equal what SOS's ``gcroot`` prints for the objects it was asked about, root by root and hop by hop.

Where the two differ, the reason stands here under a name; anything else is an error.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.roots import Root
from analysis.index.retention import NOT_LIVE, READY, ROOT_KINDS, STACK, STATIC, THREAD_STATIC
from analysis.kernels import graph as kernels
from analysis.runtime.stack_frames import StackFrame
from tests.analysis.gcroot_answers import HANDLES, QUEUE, PrintedRoot, gcroot_answers
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps
from tests.analysis.stack_comparison import NO_GC_INFO, REFERENCE_TO_LOCAL

#: SOS writes "static variable" beside the first object of such a path, with the name of another field.
NAMED_FIELD = "a static field lies in an array that a handle holds: the reference prints handle and array, ours has the field"

#: ``gcroot`` without ``-all`` leaves out roots whose way leads into one that it has gone before.
JOINED = "a root whose way joins one that is printed"

#: Where a root is: section, (sp, ip), address of the slot, register; and the address of the object it holds.
_Place = tuple[str, tuple[int, int], int, str, int]
_NO_FRAME = (0, 0)
_FIELDS = (STATIC, THREAD_STATIC)


def _asked() -> list[ReferenceDump]:
    """Dumps beside which ``gcroot`` has answered."""
    found = [one for one in reference_dumps() if one.path.with_suffix(".sos.txt").exists()]
    return [one for one in found if gcroot_answers(one.path.with_suffix(".sos.txt"))]


class Answered:
    """One dump: our graph with roots by their places, and SOS's answers by the object asked for."""

    def __init__(self, dump: ReferenceDump) -> None:
        self.answers = gcroot_answers(dump.path.with_suffix(".sos.txt"))
        self.dump = Dump(dump.path)
        walked = self.dump.walk()
        assert walked is not None
        self.retention = Retention(self.dump, walked)
        self.frames = [(f"{stack.os_id:x}", frame) for stack in self.dump.stacks for frame in stack.frames]
        #: Rows of roots that are no fields, by their places.
        self.places = {self.place(row): row for row, root in enumerate(self.roots) if root.kind not in _FIELDS}

    @property
    def roots(self) -> list[Root]:
        return self.retention.resolved.roots

    @property
    def printed(self) -> list[PrintedRoot]:
        return [root for roots in self.answers.values() for root in roots]

    def row(self, address: int) -> int:
        """Row of the object at an address."""
        (row,) = self.retention.places.find([address]).tolist()
        assert row != NOT_LIVE
        return int(row)

    def frame_of(self, root: PrintedRoot) -> StackFrame:
        (found,) = [frame for thread, frame in self.frames if (thread, frame.sp, frame.ip) == (root.section, *root.frame)]
        return found

    def leading_to(self, row: int) -> list[int]:
        """Rows of the roots that lead to an object, arrays of statics taken as they are."""
        held = self.retention.objects
        parents, order = np.full(held, NOT_LIVE, np.uint32), np.zeros(held, np.uint32)
        kernels.search_breadth_first(self.retention.referrer_offsets, self.retention.referrers, row, parents, order)
        parents[row] = row
        found: list[int] = np.flatnonzero(parents[self.retention.resolved.object] != NOT_LIVE).tolist()
        return found

    def fields_in(self, array: int, value: int) -> list[str]:
        """Names of the static fields that lie in an array on the heap and hold ``value``."""
        row = self.row(array)
        end = array + int(self.retention.walked.columns.size[row])
        return [
            root.name for root in self.roots
            if root.kind in _FIELDS and root.object == value and array <= root.address < end
        ]  # fmt: skip

    def root_of(self, row: int) -> int:
        """Row of the root at the beginning of an object's path."""
        while row < self.retention.objects:
            row = int(self.retention.parent[row])
        return row - self.retention.objects

    def place(self, row: int) -> _Place:
        """Where one of our roots is, as the answers would say it."""
        root = self.roots[row]
        value = int(self.retention.walked.columns.address[self.retention.resolved.object[row]])
        if root.kind == STACK:
            thread, frame = self.frames[root.frame]
            return thread, (frame.sp, frame.ip), root.address, "" if root.address else root.name, value
        return (QUEUE, _NO_FRAME, 0, "", value) if root.kind == READY else (HANDLES, _NO_FRAME, root.address, "", value)


def _printed_place(root: PrintedRoot) -> _Place:
    # The places in the finalizer queue are not in the index: its objects are.
    return root.section, root.frame, 0 if root.section == QUEUE else root.address, root.register, root.path[0]


@pytest.fixture(scope="module", params=_asked(), ids=lambda dump: dump.name)
def answered(request: pytest.FixtureRequest) -> Answered:
    return Answered(request.param)


def test_every_root_that_is_printed_is_ours(answered: Answered) -> None:
    """The same slot or register of the same frame of the same thread, the same handle, the same queue; the same object."""
    differences: Counter[str] = Counter()
    for root in answered.printed:
        row = answered.places.get(_printed_place(root))
        if row is not None:
            assert root.section != HANDLES or root.kind == ROOT_KINDS[answered.roots[row].kind]
            continue
        assert root.section not in (HANDLES, QUEUE), root
        if answered.frame_of(root).scanned:
            differences[NO_GC_INFO] += 1
            continue
        memory = answered.dump.core.memory
        assert memory.try_pointer(memory.try_pointer(root.address) or 0) == root.path[0], root
        differences[REFERENCE_TO_LOCAL] += 1
    assert differences.total() < len(answered.printed) / 2, differences


def test_every_hop_that_is_printed_is_a_reference_of_ours(answered: Answered) -> None:
    for root in answered.printed:
        rows = [answered.row(address) for address in root.path]
        for source, target in pairwise(rows):
            assert target in answered.retention.targets[answered.retention.references.of(source)], (root, hex(source))


def test_hardly_a_root_of_ours_is_not_printed(answered: Answered) -> None:
    """JOINED: from where we say so there is a way, all of references; the answers say that themselves of other roots."""
    joined = 0
    for asked, printed in answered.answers.items():
        theirs = {_printed_place(root) for root in printed}
        leading = set(answered.leading_to(answered.row(asked)))
        assert theirs & answered.places.keys()
        joined += sum(row in leading and place not in theirs for place, row in answered.places.items())
    assert joined <= len(answered.printed) / 10, JOINED


def test_our_path_begins_at_a_root_that_is_printed_or_at_the_field_in_its_place(answered: Answered) -> None:
    """NAMED_FIELD: the way that is printed goes through an array in which the field lies, to the object the field holds."""
    for asked, printed in answered.answers.items():
        row = answered.root_of(answered.row(asked))
        root = answered.roots[row]
        if root.kind in _FIELDS:
            passed = {name for one in printed if len(one.path) > 1 for name in answered.fields_in(*one.path[:2])}
            assert root.name in passed, NAMED_FIELD
        else:
            assert answered.place(row) in {_printed_place(one) for one in printed}, root

"""The rules by which stacks are held against the reference reader's, beside those of ``comparison``.

Where the two differ, the reason is counted under a name here; anything else is an error.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.analysis.comparison import Answers, Rule

#: The reference stops each stack after so many frames and references.
_REFERENCE_FRAMES, _REFERENCE_ROOTS = 4000, 5000
_NO_ADDRESS = "0x0"
_FLAWED_WAITERS = 1000
#: Reasons by which references on stacks may differ; the figures are printed where a test fails.
NO_GC_INFO = "the page with the method's GC info is not in the dump: found by scanning, or not at all"
FUNCLET_PARENT = "the frame lies below an executing handler or is its parent: the reference does not report it a second time"
NATIVE_REGISTERS = "below a HelperMethodFrame not unwound yet, registers were saved by native code, where no codes lead"
REFERENCE_TO_LOCAL = "a by-ref to a variable on the stack: the reference reports the object that this variable refers to"
NATIVE_ROOT = "kept by native code of the runtime (GCFrame), which leaves no Frame on the stack"

_Root = tuple[str, str, bool, bool]


def _managed(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["kind"] == "ManagedMethod"]


def _without_artefact(frames: list[dict[str, Any]], ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reference gives a thread without managed code the first frame of another thread, without a method."""
    known = {frame["ip"] for frame in ours}
    return [frame for frame in frames if frame["method"] is not None or frame["kind"] == "Runtime" or frame["ip"] in known]


def _pairs(answers: Answers) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return list(zip(answers.facts["threads"], answers.reference["threads"], strict=True))


def compare_frames(answers: Answers) -> None:
    """ip, sp, kind, Frame name, method with signature, module and token, in order."""
    keys = ("ip", "sp", "kind", "frame", "method", "module", "token")
    for ours, theirs in _pairs(answers):
        expected = _without_artefact(theirs["frames"], ours["frames"])
        found = ours["frames"]
        if len(theirs["frames"]) >= _REFERENCE_FRAMES:
            expected, found = expected[: _REFERENCE_FRAMES - 1], found[: _REFERENCE_FRAMES - 1]
        rows = [{key: frame[key] for key in keys} for frame in found]
        assert rows == [{key: frame[key] for key in keys} for frame in expected], theirs["managed_id"]


def compare_declaring_types(answers: Answers) -> None:
    """The reference gives stubs the type they were made for, ours have none."""
    for ours, theirs in _pairs(answers):
        frames = _without_artefact(theirs["frames"], ours["frames"])
        for our_frame, their_frame in zip(_managed(ours["frames"]), _managed(frames), strict=False):
            if our_frame["type"] and "`" not in (their_frame["type"] or "`"):
                assert our_frame["type"] == their_frame["type"]


def compare_il_offsets(answers: Answers) -> None:
    """Equal, but where the reference asks the wrong body of code of a method that has several: it then says 0."""
    for ours, theirs in _pairs(answers):
        frames = _without_artefact(theirs["frames"], ours["frames"])
        for our_frame, their_frame in zip(_managed(ours["frames"]), _managed(frames), strict=False):
            assert our_frame["il_offset"] == their_frame["il_offset"] or not their_frame["il_offset"], our_frame


def compare_stack_roots(answers: Answers) -> None:
    """Object, slot, interior, pinned. Each difference has one of the reasons above."""
    differences: Counter[str] = Counter()
    for ours, theirs in _pairs(answers):
        if not theirs["stack_roots"] or len(theirs["stack_roots"]) >= _REFERENCE_ROOTS:
            continue
        scanned = ours["scanned_frames"] > 0
        found = Counter(_root(root) for root in ours["stack_roots"] if root["precise"])
        expected = Counter(_root(root) for root in theirs["stack_roots"])
        locals_of_thread = {root["object"] for root in ours["stack_roots"] if root["address"] != _NO_ADDRESS}
        for root, count in (expected - found).items():
            if root[2] and root[1] in locals_of_thread:
                differences[REFERENCE_TO_LOCAL] += count
                continue
            in_register = root[0] == _NO_ADDRESS
            helper = any((frame["frame"] or "").startswith("HelperMethodFrame") for frame in theirs["frames"])
            assert scanned or not in_register or helper, (theirs["managed_id"], root)
            differences[NO_GC_INFO if scanned else NATIVE_REGISTERS if in_register else NATIVE_ROOT] += count
        extra = sum((found - expected).values())
        assert not extra or _in_a_handler(ours), (theirs["managed_id"], found - expected)
        differences[FUNCLET_PARENT] += extra
    assert differences[NATIVE_ROOT] <= 1, differences


def _root(root: dict[str, Any]) -> _Root:
    return root["address"], root["object"], root["interior"], root["pinned"]


def _in_a_handler(thread: dict[str, Any]) -> bool:
    """Whether a method stands twice on the stack with the same frame above an exception: a handler and its parent."""
    methods = [frame["method"] for frame in _managed(thread["frames"])]
    return thread["exception"] is not None or len(methods) != len(set(methods))


def compare_locks(answers: Answers) -> None:
    """Sync blocks and thin locks. For a block in Monitor.Wait the reference counts 1,000 waiters (a flaw of the native
    library): there the lock's own count is left alone."""
    theirs = answers.reference["sync_blocks"]
    flawed = {block["Index"] for block in theirs if block["waiting"] == _FLAWED_WAITERS}
    ours = [
        {**block, **({"waiting": _FLAWED_WAITERS} if block["Index"] in flawed else {})} for block in answers.facts["sync_blocks"]
    ]
    assert ours == theirs
    thin = sorted(answers.reference["thin_locks"], key=lambda lock: int(lock["address"], 16))
    assert answers.facts["thin_locks"] == thin


def compare_exceptions(answers: Answers) -> None:
    """Type, message, HResult, inner exception and every frame."""
    expected = sorted(answers.reference["exceptions"], key=lambda one: int(one["address"], 16))
    assert answers.facts["exceptions"] == expected


STACK_RULES: tuple[Rule, ...] = (compare_frames, compare_declaring_types, compare_il_offsets, compare_stack_roots)
LOCK_RULES: tuple[Rule, ...] = (compare_locks, compare_exceptions)

"""What the index calls a row, as words and links for one viewer: threads, locks, frames, methods, exceptions.

A thread's name is context (D2): who may not see it reads ``thread 4``. Sentences of the engine are lists of words and
references; here they become text and links.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from analysis.index.retention import ROOT_KINDS
from analysis.index.store import Index
from explorer.pages import numbers
from explorer.pages.names import namespace_of, shortened, visible
from explorer.pages.opened import kept_structure

_LONGEST_LABEL, _LONGEST_TYPE = 80, 40
_STATE_MACHINE = re.compile(r"([\w.]+(?:\+\w+)*)\+<([\w<>$]+)>d__\d+")
#: Frames on one page of a thread.
FRAMES_PER_PAGE = 500


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a sentence; with a ``url`` they are a link. ``kind`` names what they stand for, "" for plain words."""

    text: str
    url: str = ""
    kind: str = ""
    title: str = ""


class References:
    """Names and links of one dump for the viewer whose index it is."""

    def __init__(self, index: Index, dump_id: Any) -> None:
        self.index, self.dump_id = index, dump_id
        self._sees_names = index.shows("threads", "name")

    def url(self, name: str, *arguments: Any) -> str:
        return reverse(name, args=[self.dump_id, *arguments])

    # Threads

    def thread(self, row: int) -> Piece:
        """``transfer-left`` with its id on hover, or ``thread 4``."""
        if not 0 <= row < self.index.rows["threads"]:
            return Piece("an unknown thread")
        managed_id = int(self.index.column("threads", "managed_id")[row])
        words = f"thread {managed_id}"
        name = self.thread_name(row)
        return Piece(visible(name, _LONGEST_LABEL) if name else words, self.thread_url(row), "thread", words)

    def thread_name(self, row: int) -> str:
        """The name given by the program, "" for none or where the viewer may not see it."""
        return str(self.index.text("threads", "name")[row]) if self._sees_names else ""

    def thread_label(self, row: int) -> str:
        """Name and id in one line of text."""
        piece = self.thread(row)
        return piece.text if piece.text == piece.title else f"{piece.text} ({piece.title})"

    def thread_url(self, row: int) -> str:
        return self.url("dump-thread", int(self.index.column("threads", "managed_id")[row]))

    # Frames and methods

    def frame(self, row: int) -> Piece:
        """The method of a frame, leading to that frame on its thread's page."""
        if not 0 <= row < self.index.rows["frames"]:
            return Piece("an unknown place")
        return Piece(self.frame_label(row), self.frame_url(row), "frame", self.frame_label(row, whole=True))

    def frame_label(self, row: int, *, whole: bool = False) -> str:
        method = int(self.index.column("frames", "method")[row])
        if method < 0:
            return visible(str(self.index.text("frames", "label")[row]), _LONGEST_LABEL)
        return self.method_label(method) if not whole else visible(str(self.index.text("methods", "name")[method]))

    def frame_url(self, row: int) -> str:
        thread = int(self.index.column("frames", "thread")[row])
        if thread < 0:
            return ""
        place = row - int(self.index.column("threads", "first_frame")[thread])
        page = place // FRAMES_PER_PAGE
        where = f"?unfolded=1&page={page + 1}" if page else "?unfolded=1" if self._is_folded(row) else ""
        return f"{self.thread_url(thread)}{where}#frame-{place}"

    def _is_folded(self, row: int) -> bool:
        """Whether a frame is behind the line that stands for the repeated turns of a recursion."""
        starts, ends = _folded_frames(self.index)
        before = bisect_right(starts, row)
        return before > 0 and row < ends[before - 1]

    def method_label(self, row: int) -> str:
        """``Checkout.Pay``: the declaring type without its namespace, and the method."""
        name = visible(str(self.index.text("methods", "name")[row]))
        return short_method(name)

    # Locks, exceptions, types

    def lock(self, row: int) -> Piece:
        """``Ledger …c318`` with kind, whole type and address on hover."""
        if not 0 <= row < self.index.rows["locks"]:
            return Piece("an unknown lock")
        kind, address = str(self.index.text("locks", "kind")[row]), int(self.index.column("locks", "object")[row])
        type_name = visible(str(self.index.text("locks", "type_name")[row]))
        title = f"{kind} {type_name} at {numbers.address(address)}"
        return Piece(
            f"{shortened(short_type(type_name), _LONGEST_TYPE) or kind} …{address & 0xFFFF:04x}",
            self.lock_url(row),
            "lock",
            title,
        )

    def lock_url(self, row: int) -> str:
        return self.url("dump-lock", f"{int(self.index.column('locks', 'object')[row]):x}")

    def exception(self, row: int) -> Piece:
        if not 0 <= row < self.index.rows["exceptions"]:
            return Piece("an unknown exception")
        name = visible(str(self.index.text("exceptions", "type_name")[row]))
        return Piece(short_type(name), f"{self.url('dump-crash')}#exception-{row}", "exception", name)

    # The heap

    def type(self, row: int) -> Piece:
        """``Customer``, with the whole name on hover."""
        if not 0 <= row < self.index.rows["types"]:
            return Piece("an unknown type")
        name = visible(str(self.index.text("types", "name")[row]))
        return Piece(shortened(short_type(name), _LONGEST_TYPE), self.url("dump-type", row), "type", name)

    def object(self, row: int) -> Piece:
        """``Customer …9b40``: its type and the end of its address, both whole on hover."""
        if not 0 <= row < self.index.rows["objects"]:
            return Piece("an unknown object")
        address = int(self.index.column("objects", "address")[row])
        of_type = self.type(int(self.index.column("objects", "type")[row]))
        text = f"{of_type.text} …{address & 0xFFFF:04x}"
        return Piece(text, self.url("dump-object", f"{address:x}"), "object", f"{of_type.title} at {numbers.address(address)}")

    def root(self, row: int) -> Piece:
        """``CustomerCache._entries``, ``stack of main in Shop.Run``, ``pinned handle``."""
        if not 0 <= row < self.index.rows["roots"]:
            return Piece("an unknown root")
        kind = ROOT_KINDS[int(self.index.column("roots", "kind")[row])]
        name = visible(str(self.index.text("roots", "name")[row]))
        frame = int(self.index.column("roots", "frame")[row])
        group = int(self.index.column("roots", "group")[row])
        if frame >= 0:
            thread = int(self.index.column("root_groups", "thread")[group])
            text = f"{self.frame_label(frame)} of {self.thread(thread).text}"
            return Piece(text, self.frame_url(frame), "root", f"{kind} {name}")
        label = shortened(short_member(name), _LONGEST_LABEL) if name else kind
        return Piece(label, f"{self.url('dump-roots')}?group={group}", "root", f"{kind} {name}")

    def root_group(self, row: int) -> Piece:
        """``static fields of CustomerCache``, ``thread main``, ``pinned handles``."""
        kind = ROOT_KINDS[int(self.index.column("root_groups", "kind")[row])]
        thread = int(self.index.column("root_groups", "thread")[row])
        name = visible(str(self.index.text("root_groups", "name")[row]))
        url = f"{self.url('dump-roots')}?group={row}"
        if thread >= 0:
            return Piece(f"thread {self.thread(thread).text}".replace("thread thread", "thread"), url, "root", kind)
        if kind == "static":
            return Piece(f"static fields of {shortened(short_type(name), _LONGEST_TYPE)}", url, "root", name)
        return Piece(f"{kind}s" if kind.endswith("handle") else f"objects {kind}", url, "root", name)

    # Sentences

    def piece(self, kind: str, row: int) -> Piece:
        makers = {
            "thread": self.thread, "lock": self.lock, "frame": self.frame, "exception": self.exception,
            "object": self.object, "type": self.type, "root": self.root,
        }  # fmt: skip
        maker = makers.get(kind)
        return maker(row) if maker else Piece(f"{kind} {row}")

    def sentence(self, pieces: Iterable[Mapping[str, Any]]) -> list[Piece]:
        """A stored sentence as pieces to draw."""
        return [
            self.piece(piece["ref"], piece["row"]) if "ref" in piece else Piece(visible(str(piece["text"]), 2000))
            for piece in pieces
        ]


@kept_structure(12)
def _folded_frames(index: Index) -> tuple[list[int], list[int]]:
    """First rows and rows after the last of the frames that each fold hides, in order: all turns but the first."""
    columns = [index.column("frame_folds", name).tolist() for name in ("first_frame", "period", "repeats")]
    folds = sorted(zip(*columns, strict=True))
    return [first + period for first, period, _ in folds], [first + period * repeats for first, period, repeats in folds]


def plain(pieces: Iterable[Piece]) -> str:
    """A sentence as text."""
    return "".join(piece.text for piece in pieces)


def asynchronous_method(type_name: str) -> str:
    """``Shop.PayAsync`` for the task of an asynchronous method, whose type only names its state machine; else "".

    The compiler calls the state machine of ``PayAsync`` in ``Shop`` ``Shop+<PayAsync>d__3``.
    """
    found = _STATE_MACHINE.findall(type_name)
    return f"{short_type(found[-1][0])}.{found[-1][1]}" if found and "AsyncStateMachineBox" in type_name else ""


def short_member(name: str) -> str:
    """``CustomerCache._entries``: a field with its declaring type, without the namespace."""
    declaring, point, member = name.rpartition(".")
    if declaring.endswith("."):
        declaring = declaring[:-1]
    return f"{short_type(declaring)}.{member}" if point else name


def short_type(name: str) -> str:
    """A type name without the namespace of the type itself."""
    return name[len(namespace_of(name)) :].lstrip(".") if name else ""


@dataclass(frozen=True, slots=True)
class MethodParts:
    """A method's name in pieces: namespace, declaring type, method, and parameters with their brackets."""

    namespace: str
    declaring: str
    method: str
    parameters: str


def method_parts(name: str) -> MethodParts:
    """``N.Outer+Inner.Method[[T, A]](System.Int32)`` in pieces; a frame that is no method is all ``method``."""
    head, bracket, parameters = name.partition("(")
    if not bracket:
        # A node of the merged stacks is drawn without parameters; a native label holds no method at all.
        head, parameters = name, ""
    plain_head = _without_brackets(head)
    declaring, point, method = plain_head.rpartition(".")
    if declaring.endswith("."):  # a constructor: N.Type..ctor
        declaring, method = declaring[:-1], f".{method}"
    if not point:
        return MethodParts("", "", head, bracket + parameters)
    namespace = namespace_of(declaring)
    prefix = f"{namespace}." if namespace else ""
    return MethodParts(prefix, f"{declaring[len(prefix) :]}.", method, bracket + parameters)


def _without_brackets(text: str) -> str:
    """Without generic arguments in ``[[…]]``, wherever they stand."""
    kept, depth = [], 0
    for character in text:
        depth += character == "["
        if not depth:
            kept.append(character)
        depth -= character == "]"
    return "".join(kept)


def short_method(name: str) -> str:
    """``Outer+Inner.Method``: neither namespace nor generic arguments nor parameters."""
    parts = method_parts(name)
    return parts.declaring + parts.method

"""Exception objects: message, HResult, inner exception and the stack trace each carries; which a thread is handling.

Source: ``vm/clrex.h`` (StackTraceArray, StackTraceElement), docs/design/datacontracts/Exception.md and Thread.md in
dotnet/runtime. Fields are found by their names in metadata.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from analysis.contracts.target import Target
from analysis.errors import AnalysisError
from analysis.limits import LIMITS
from analysis.runtime.named_fields import NamedFields
from analysis.runtime.objects import ObjectReader

EXCEPTION = "System.Exception"
_BYTES_PER_REFERENCE = _WORD_BYTES = 8
#: What is kept of each message when all together grew beyond the cap.
_SHORT_MESSAGE = 256


@dataclass(frozen=True, slots=True)
class TraceElement:
    """One frame of an exception's stack trace, innermost first. ``ip`` of a call lies inside the call instruction."""

    ip: int
    sp: int
    method_desc: int


@dataclass(frozen=True, slots=True)
class ExceptionObject:
    """An exception on the heap. ``message`` is None where the object stores none; ``inner`` an address, 0 for none."""

    address: int
    type_name: str
    message: str | None
    hresult: int
    inner: int
    trace: tuple[TraceElement, ...]


class ExceptionReader:
    """Reads exception objects and the chains that threads keep. What cannot be read is left empty; nothing raises.

    Many exceptions can share one long trace or message, so there is a cap on all together: ``frames_left_out`` counts what
    lies beyond it, and messages are cut short from there on.
    """

    def __init__(self, target: Target, fields: NamedFields, objects: ObjectReader) -> None:
        self._target, self._fields, self._objects = target, fields, objects
        self._frames_left, self._characters_left = LIMITS.exception_frames, LIMITS.exception_text_characters
        self.frames_left_out = 0

    def is_exception(self, address: int) -> bool:
        return bool(address) and self._fields.is_a(address, EXCEPTION)

    def read(self, address: int) -> ExceptionObject:
        """One exception by its address."""
        fields = self._fields
        return ExceptionObject(
            address=address,
            type_name=fields.type_name(address),
            message=self._message(address),
            hresult=fields.number(address, "_HResult", of=EXCEPTION) or 0,
            inner=fields.reference(address, "_innerException", of=EXCEPTION) or 0,
            trace=self._trace(fields.reference(address, "_stackTrace", of=EXCEPTION) or 0),
        )

    def nested(self, thread: int, current: int) -> list[int]:
        """Exceptions the thread was handling when ``current`` was thrown, the latest first."""
        found: list[int] = []
        target = self._target
        try:
            tracker = target.pointer(thread, "Thread", "ExceptionTracker")
            seen: set[int] = set()
            while tracker and tracker not in seen and len(found) < LIMITS.exception_nesting:
                seen.add(tracker)
                handle = target.pointer(tracker, "ExceptionInfo", "ThrownObject")
                thrown = target.memory.pointer(handle) if handle else 0
                if not self.is_exception(thrown):
                    break
                found.append(thrown)
                tracker = target.pointer(tracker, "ExceptionInfo", "PreviousNestedInfo")
        except AnalysisError:
            pass  # what was read of the chain stands
        return [address for address in found if address != current]

    def _message(self, address: int) -> str | None:
        text = self._fields.reference(address, "_message", of=EXCEPTION)
        if not text:
            return None
        try:
            short = self._characters_left <= 0
            message = self._objects.string(text, _SHORT_MESSAGE if short else LIMITS.exception_characters)
            self._characters_left -= len(message)
            return message
        except AnalysisError:
            return None

    def _trace(self, array: int) -> tuple[TraceElement, ...]:
        """The elements of a stack trace: a byte array, or an object array whose first element is that byte array."""
        try:
            if array and self._objects.type_of(array).component_size == _BYTES_PER_REFERENCE:
                array = self._target.memory.pointer(array + self._target.layout.types["Array"]["!"])
            return self._elements(array) if array else ()
        except AnalysisError:
            return ()

    def _elements(self, array: int) -> tuple[TraceElement, ...]:
        layout, memory = self._target.layout, self._target.memory
        data = array + layout.types["Array"]["!"]
        size = layout.types["StackTraceElement"]["!"]
        first = layout.offset("StackTraceArray", "Elements")
        room = max(memory.u32(array + layout.offset("Array", "m_NumComponents")) - first, 0) // size
        count = min(memory.u32(data + layout.offset("StackTraceArray", "Count")), room, LIMITS.frames_per_thread)
        kept = min(count, self._frames_left)
        self._frames_left -= kept
        self.frames_left_out += count - kept
        words = struct.unpack(f"<{kept * size // _WORD_BYTES}Q", memory.read(data + first, kept * size))
        places = [layout.offset("StackTraceElement", name) for name in ("Ip", "Sp", "Method")]
        return tuple(map(TraceElement, *(words[place // _WORD_BYTES :: size // _WORD_BYTES] for place in places)))

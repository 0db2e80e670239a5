"""Asynchronous methods: what one that is suspended awaits, and which thread runs one that is not.

The compiler keeps the awaiter of the ``await`` that suspended a method in a field named ``<>u__n`` and clears it when the
method goes on. Source: ``AsyncTaskMethodBuilderT.cs`` in dotnet/runtime for the box around a state machine.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.waits.continuations import TASK
from analysis.insight.waits.evidence import Evidence
from analysis.runtime.fields import Field

BOX = "System.Runtime.CompilerServices.AsyncTaskMethodBuilder`1+AsyncStateMachineBox`1"
_AWAITER_NAME, _AWAITER_TYPE = "<>u__", "Awaiter"
#: Methods that run a state machine, or the delegate of a task.
_RUNNING = {
    BOX: ("MoveNext", "ExecuteFromThreadPool", "ExecutionContextCallback"),
    TASK: ("ExecuteWithThreadLocal", "ExecuteEntry", "InnerInvoke", "ExecuteFromThreadPool"),
}
#: ``TASK_STATE_DELEGATE_INVOKED``.
_INVOKED = 0x20000


def is_box(evidence: Evidence, address: int) -> bool:
    return evidence.fields.is_a(address, BOX)


def machine_name(evidence: Evidence, box: int) -> str:
    """Full name of the state machine's type, which holds the method's name between angle brackets."""
    arguments = evidence.fields.arguments(box)
    return evidence.dump.runtime.types.name(arguments[-1]) if arguments else ""


def awaited(evidence: Evidence, box: int) -> list[int]:
    """Objects in the awaiters of a suspended method: tasks, or sources of values."""
    fields = evidence.fields
    machine = fields.find(box, "StateMachine")
    if machine is None:
        return []
    if machine.element == "Struct":
        arguments = fields.arguments(box)
        inside = fields.fields(arguments[-1]) if arguments and not arguments[-1] & 2 else {}
        base = box + machine.offset
    else:
        base = fields.reference(box, "StateMachine") or 0
        inside = fields.fields(fields.method_table(base)) if base else {}
    found = [address for field in inside.values() if _is_awaiter(field) for address in _objects(evidence, base, field)]
    return list(dict.fromkeys(found))


def _is_awaiter(field: Field) -> bool:
    return field.name.startswith(_AWAITER_NAME) or _AWAITER_TYPE in field.type_name


def _objects(evidence: Evidence, base: int, field: Field) -> Iterator[int]:
    """Objects that the awaiter in a field refers to. An awaiter that is a class, or a boxed one, is looked into."""
    fields = evidence.fields
    words = fields.words(base, field)
    for word in words:
        if not word or word & 7:
            continue
        if fields.is_a(word, TASK):
            yield word
        elif fields.method_table(word):
            inner = [fields.reference(word, name) or 0 for name in ("m_task", "_task")]
            yield from [task for task in inner if task and fields.is_a(task, TASK)] or [word]


def running(evidence: Evidence) -> dict[int, tuple[int, int]]:
    """Tasks and asynchronous methods that run on a thread: object -> row of the thread, place of the frame."""
    found: dict[int, tuple[int, int]] = {}
    for row, stack in enumerate(evidence.stacks):
        for place, frame in enumerate(stack.frames):
            method = frame.method
            prefixes = _RUNNING.get(evidence.methods.name(method)) if method else None
            if not method or not prefixes or not method.method_name.startswith(prefixes):
                continue
            for held in frame.objects:
                if not held.interior and held.object not in found and _runs(evidence, held.object):
                    found[held.object] = row, place
    return found


def _runs(evidence: Evidence, address: int) -> bool:
    """Whether an object that executing code refers to is what it executes: a box, or a task whose delegate was called."""
    fields = evidence.fields
    bases = fields.bases(fields.method_table(address))
    return BOX in bases or (TASK in bases and bool((fields.number(address, "m_stateFlags") or 0) & _INVOKED))


def asynchronous_method(type_name: str) -> str:
    """``Type.Method`` of the asynchronous method whose box or state machine has the type name; "" for any other type.

    The compiler calls the state machine of a method ``Type+<Method>d__3``, that of a lambda ``Type+<<Method>b__1>d``.
    """
    begin, end = type_name.rfind("+<"), type_name.rfind(">d")
    if not 0 <= begin < end:
        return ""
    start = max(type_name.rfind("<", 0, begin), type_name.rfind(" ", 0, begin)) + 1
    return f"{type_name[start:begin]}.{type_name[begin + 2 : end]}"

"""Events and the like: ManualResetEventSlim, and all that derives from WaitHandle.

What a WaitHandle stands for (Mutex, Semaphore, AutoResetEvent …) keeps its state in the operating system layer of the
runtime, outside the heap: neither the count nor the owner of a Mutex can be read.
"""

from __future__ import annotations

from analysis.insight.waits.blocked import BlockedStack, distinct
from analysis.insight.waits.choice import choose
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Lock

SLIM_KIND = "ManualResetEventSlim"
SLIM_TYPE = "System.Threading.ManualResetEventSlim"
SLIM_CODE = (SLIM_TYPE,)
HANDLE_CODE = ("System.Threading.WaitHandle", "System.Threading.WaitSubsystem")
HANDLE_TYPE = "System.Threading.WaitHandle"
_SAFE_HANDLE = "Microsoft.Win32.SafeHandles.SafeWaitHandle"
HANDLE_KINDS = ("Mutex", "Semaphore", "AutoResetEvent", "ManualResetEvent", "EventWaitHandle")
OTHER_HANDLE = "WaitHandle"
_SET, _WAITERS = 1 << 31, 0x7FFFF
_SEVERAL = ("WaitMultiple", "WaitAny", "WaitAll")
_MOST_HANDLES = 64
_OWN_HANDLE = "the handle that the waiting code keeps on the stack"
_OWN_ARRAY = "the array of handles that the waiting code keeps on the stack"
_BY_HEAP = "the object on the heap whose handle the waiting code keeps on the stack"


def find_slim(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    def waited_for(address: int) -> bool:
        state = evidence.fields.number(address, "m_combinedState", "_combinedState")
        return state is not None and not state & _SET and bool(state & _WAITERS)

    return [choose(evidence, blocked, SLIM_KIND, "signal", SLIM_TYPE, SLIM_CODE, waited_for)]


def describe_slim(evidence: Evidence, kind: str, address: int) -> Lock:
    lock = Lock(SLIM_KIND, address, evidence.type_name(address))
    state = evidence.fields.number(address, "m_combinedState", "_combinedState")
    if state is None:
        lock.state = "not known"
        return lock
    lock.state = "set" if state & _SET else "not set"
    lock.stated_waiters = state & _WAITERS
    return lock


def find_handle(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """The handle or handles of WaitOne, WaitAny and WaitAll."""
    methods = blocked.methods(*HANDLE_CODE)
    if any(name.startswith(_SEVERAL) for name in methods):
        return _several(evidence, blocked, every=any("WaitAll" in name for name in methods))
    fields = evidence.fields
    candidates = list(blocked.candidates(*HANDLE_CODE))
    objects = distinct(iter(candidates), lambda address: fields.is_a(address, HANDLE_TYPE))
    safe = distinct(
        iter([*blocked.runtime_objects(), *candidates]), lambda address: fields.is_a(address, _SAFE_HANDLE)
    )  # fmt: skip
    for handle in safe:
        for candidate in objects:
            if fields.reference(candidate.object, "_waitHandle") == handle.object:
                return [_found(evidence, candidate.object, _OWN_HANDLE, handle.precise)]
        owner = _owner_of_handle(evidence, handle.object)
        if owner != handle.object:
            return [_found(evidence, owner, _BY_HEAP, handle.precise)]
    found = choose(evidence, blocked, OTHER_HANDLE, "signal", HANDLE_TYPE, HANDLE_CODE)
    if found.object:
        return [Found(kind_of(evidence, found.object), found.object, _mode(evidence, found.object), found.how, found.certainty)]
    if safe:
        return [Found(OTHER_HANDLE, safe[0].object, "signal", _OWN_HANDLE, Certainty.LIKELY)]
    return [found]


def _found(evidence: Evidence, address: int, how: str, precise: bool) -> Found:
    certainty = Certainty.CERTAIN if precise else Certainty.LIKELY
    return Found(kind_of(evidence, address), address, _mode(evidence, address), how, certainty)


def _several(evidence: Evidence, blocked: BlockedStack, *, every: bool) -> list[Found]:
    """Handles in the array that WaitAny or WaitAll waits on; to wait for any of them is not to wait for each of them."""
    fields = evidence.fields
    mode = "all" if every else "any"
    arrays = distinct(
        blocked.candidates(*HANDLE_CODE), lambda address: fields.type_name(address).endswith(("WaitHandle[]", "SafeWaitHandle[]"))
    )
    found: dict[int, Found] = {}
    for array in sorted(arrays, key=lambda candidate: not candidate.own)[:1]:
        certainty = Certainty.POSSIBLE if not every else Certainty.CERTAIN if array.precise else Certainty.LIKELY
        for element in fields.array_references(array.object, min(fields.array_length(array.object), _MOST_HANDLES)):
            address = element if fields.is_a(element, HANDLE_TYPE) else _owner_of_handle(evidence, element)
            if address:
                found[address] = Found(kind_of(evidence, address), address, mode, _OWN_ARRAY, certainty)
    return list(found.values()) or [Found(OTHER_HANDLE, 0, mode, "", Certainty.POSSIBLE)]


def _owner_of_handle(evidence: Evidence, handle: int) -> int:
    """The WaitHandle of a SafeWaitHandle; the handle itself for one that no object on the heap has."""
    return evidence.owner_by_field(HANDLE_TYPE, "_waitHandle", derived=True).get(handle, handle)


def kind_of(evidence: Evidence, address: int) -> str:
    """Which primitive the object is, by what its type derives from."""
    bases = evidence.fields.bases(evidence.fields.method_table(address))
    return next((kind for kind in HANDLE_KINDS if f"System.Threading.{kind}" in bases), OTHER_HANDLE)


def _mode(evidence: Evidence, address: int) -> str:
    return "enter" if kind_of(evidence, address) in ("Mutex", "Semaphore") else "signal"


def describe_handle(evidence: Evidence, kind: str, address: int) -> Lock:
    lock = Lock(kind, address, evidence.type_name(address))
    owner = ", nor who owns it" if kind == "Mutex" else ""
    lock.state = f"its state is kept outside the managed heap and not known{owner}"
    return lock

"""CountdownEvent and Barrier: threads that wait until enough others have signalled."""

from __future__ import annotations

from analysis.insight.waits.blocked import BlockedStack
from analysis.insight.waits.choice import choose
from analysis.insight.waits.events import SLIM_CODE, SLIM_TYPE
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found, Lock

COUNTDOWN, BARRIER = "CountdownEvent", "Barrier"
COUNTDOWN_TYPE, BARRIER_TYPE = "System.Threading.CountdownEvent", "System.Threading.Barrier"
COUNTDOWN_CODE, BARRIER_CODE = (COUNTDOWN_TYPE,), (BARRIER_TYPE,)
#: ``Barrier._currentTotalCount``: participants that have arrived, all participants, and which event is in use.
_ARRIVED_SHIFT, _COUNT = 16, 0x7FFF


def find_countdown(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    """The event. Its own frames often keep only the ManualResetEventSlim inside it."""
    found = choose(evidence, blocked, COUNTDOWN, "signal", COUNTDOWN_TYPE, COUNTDOWN_CODE)
    inner = choose(evidence, blocked, COUNTDOWN, "signal", SLIM_TYPE, SLIM_CODE)
    owner = evidence.owner_by_field(COUNTDOWN_TYPE, "_event").get(inner.object, 0) if inner.object else 0
    if not owner or found.certainty is Certainty.CERTAIN:
        return [found]
    return [Found(COUNTDOWN, owner, "signal", f"{inner.how}, through the event inside it", inner.certainty)]


def describe_countdown(evidence: Evidence, kind: str, address: int) -> Lock:
    lock = Lock(COUNTDOWN, address, evidence.type_name(address))
    count, initial = (evidence.fields.number(address, name) for name in ("_currentCount", "_initialCount"))
    lock.state = "not known" if count is None else f"{count:,} of {initial or 0:,} signals missing"
    return lock


def find_barrier(evidence: Evidence, blocked: BlockedStack) -> list[Found]:
    return [choose(evidence, blocked, BARRIER, "signal", BARRIER_TYPE, BARRIER_CODE)]


def describe_barrier(evidence: Evidence, kind: str, address: int) -> Lock:
    lock = Lock(BARRIER, address, evidence.type_name(address))
    counts = evidence.fields.number(address, "_currentTotalCount")
    if counts is None:
        lock.state = "not known"
    else:
        lock.state = f"{counts >> _ARRIVED_SHIFT & _COUNT:,} of {counts & _COUNT:,} participants have arrived"
    return lock

"""Which of the objects on a stack a thread waits for, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable

from analysis.insight.waits.blocked import BlockedStack, Candidate, distinct
from analysis.insight.waits.evidence import Evidence
from analysis.insight.waits.parts import Certainty, Found

_PRECISE = "the reference that the lock's own code keeps on the stack"
_OF_CALLER = "a reference on the stack of the code that called it"
_SCANNED = "a reference found on the stack by scanning"
_SEVERAL = "; others were possible"
_NOT_CONFIRMED = "; the object's own state does not say that anybody waits"


def choose(
    evidence: Evidence,
    blocked: BlockedStack,
    kind: str,
    mode: str,
    type_name: str,
    code: tuple[str, ...],
    confirm: Callable[[int], bool] = lambda address: True,
) -> Found:
    """The object of type ``type_name`` on the frames of ``code`` or of their caller. ``confirm`` asks the object's own state.

    The answer's object is 0 when there is none.
    """
    candidates = distinct(blocked.candidates(*code), lambda address: evidence.fields.is_a(address, type_name))
    return judge(candidates, kind, mode, confirm)


def judge(candidates: list[Candidate], kind: str, mode: str, confirm: Callable[[int], bool]) -> Found:
    """The best of several candidates: one of the lock's own code before one of its caller, a confirmed one before others."""
    confirmed = [candidate for candidate in candidates if confirm(candidate.object)]
    pool = confirmed or candidates
    if not pool:
        return Found(kind, 0, mode, "", Certainty.POSSIBLE)
    best = max(pool, key=lambda candidate: (candidate.own, candidate.precise))
    rivals = [c for c in pool if (c.own, c.precise) == (best.own, best.precise)]
    how = _SCANNED if not best.precise else _PRECISE if best.own else _OF_CALLER
    certainty = Certainty.LIKELY if not best.precise or not best.own else Certainty.CERTAIN
    if len(rivals) > 1:
        how, certainty = how + _SEVERAL, Certainty.POSSIBLE
    if not confirmed:
        how, certainty = how + _NOT_CONFIRMED, Certainty.POSSIBLE
    return Found(kind, best.object, mode, how, certainty)

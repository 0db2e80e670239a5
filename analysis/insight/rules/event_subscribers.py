"""Event subscribers: an event that thousands have subscribed to and nobody leaves."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, heap_object, heap_type
from analysis.insight.live_objects import Rows, graph_of, live_bytes, live_objects, most_common, references_of, referred_to
from analysis.insight.rules.retained_memory import held_by, told_of
from analysis.insight.waits.parts import Certainty

#: An event of a program has a few subscribers, that of a window with many parts a few hundred.
_FEWEST, _MANY = 500, 2_000
_MOST = 5
_DELEGATE = "System.MulticastDelegate"


def _events(execution: Execution) -> list[tuple[int, int, Rows]]:
    """(delegate, its list, subscribers) of live delegates, those with most subscribers first."""
    retention = graph_of(execution)
    delegates = live_objects(execution, lambda bases: _DELEGATE in bases[1:])
    places, lists = referred_to(execution, delegates, "_invocationList")
    counts = retention.offsets[lists + 1].astype(int) - retention.offsets[lists].astype(int)
    found: dict[int, tuple[int, int, Rows]] = {}
    for place in (-counts).argsort(kind="stable")[: 10 * _MOST].tolist():
        # Delegates that were made one from another share their list.
        if counts[place] > 1 and int(lists[place]) not in found:
            found[int(lists[place])] = (
                int(delegates[places[place]]),
                int(lists[place]),
                references_of(retention, int(lists[place])),
            )
    return list(found.values())


def _look(execution: Execution) -> Iterator[Finding]:
    retention = graph_of(execution)
    told = told_of(execution)
    for delegate, listed, subscribers in _events(execution)[:_MOST]:
        if len(subscribers) < _FEWEST or told(delegate) or told(listed):
            continue
        by, evidence = held_by(retention, delegate)
        _, targets = referred_to(execution, subscribers, "_target")
        kind, count = most_common(retention.walked.columns.type[targets])
        held = int(retention.retained[delegate])
        yield Finding(
            severity=Severity.WARNING if len(subscribers) >= _MANY else Severity.NOTICE,
            confidence=Certainty.POSSIBLE,
            impact=min(held / live_bytes(retention), 1.0),
            title=(heap_object(delegate), *by, f" has {len(subscribers):,} subscribers",
                   *((f", {count:,} of them ", heap_type(kind)) if count else ())),
            summary=(
                f"Whoever subscribes to an event is kept alive by it until it unsubscribes. Without these {held / 1e6:,.1f} MB "
                "would be free." if held >= 100_000 else
                "Whoever subscribes to an event is kept alive by it until it unsubscribes, and is called each time it is raised.",
            ),
            evidence=(
                Evidence(f"calls {len(subscribers):,} subscribers", heap_object(delegate)),
                *((Evidence(f"{count:,} of them have subscribed", heap_type(kind)),) if count else ()),
                *evidence,
            ),
        )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    events = _events(execution)
    most = len(events[0][2]) if events else 0
    return f"events and other delegates with more than one subscriber: the largest has {most:,}"


RULE = Rule(
    name="event-subscribers",
    title="Subscribers that never leave",
    look=_look,
    looked_at=_looked_at,
    why="An event refers to all its subscribers. When the one that raises it lives long and they do not unsubscribe, they live "
    "as long as it does, with all they refer to, and each raise calls them all.",
    what_to_do=(
        "Unsubscribe where the subscriber ends: in Dispose, or when its page or request is over.",
        "Where that cannot be known, hold subscribers weakly.",
    ),
    false_alarm="When thousands of parts that live as long as the event have subscribed on purpose.",
)

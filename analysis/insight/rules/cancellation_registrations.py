"""Cancellation registrations: a token that lives long and collects registrations that nobody disposes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.insight.execution import Execution
from analysis.insight.findings import Evidence, Finding, Rule, Severity, heap_object, heap_type
from analysis.insight.live_objects import Rows, graph_of, live_bytes, live_objects, most_common, referred_to
from analysis.insight.rules.retained_memory import held_by, told_of
from analysis.insight.waits.parts import Certainty

#: One token that a busy server hands to every request has hundreds of registrations at a time.
_FEWEST, _MANY = 500, 2_000
_NODE = "System.Threading.CancellationTokenSource+CallbackNode"


def _registrations(execution: Execution) -> tuple[Rows, Rows]:
    """Live nodes of registrations that are in use, and the list that each belongs to."""
    nodes = live_objects(execution, lambda bases: _NODE in bases)
    used, _ = referred_to(execution, nodes, "Callback")
    nodes = nodes[used]
    places, lists = referred_to(execution, nodes, "Registrations")
    return nodes[places], lists


def _owners(execution: Execution, nodes: Rows) -> Rows:
    """What the callbacks belong to. Register(Action) passes the action as the state of a callback of the framework's own."""
    _, states = referred_to(execution, nodes, "CallbackState")
    places, targets = referred_to(execution, states, "_target")
    return np.concatenate([np.delete(states, places), targets])


def _look(execution: Execution) -> Iterator[Finding]:
    retention = graph_of(execution)
    nodes, lists = _registrations(execution)
    told = told_of(execution)
    for listed in np.unique(lists).tolist():
        own = nodes[lists == listed]
        if len(own) < _FEWEST:
            continue
        _, sources = referred_to(execution, np.array([listed]), "Source")
        source = int(sources[0]) if len(sources) else listed
        if told(source) or told(int(own[0])):
            continue
        kind, count = most_common(retention.walked.columns.type[_owners(execution, own)])
        by, evidence = held_by(retention, source)
        held = int(retention.retained[listed])
        yield Finding(
            severity=Severity.WARNING if len(own) >= _MANY else Severity.NOTICE,
            confidence=Certainty.POSSIBLE,
            impact=min(held / live_bytes(retention), 1.0),
            title=(heap_object(source), *by, f" has {len(own):,} registrations"),
            summary=("A callback that is registered on a token stays until the registration is disposed or its source ends"
                     + (f"; {count:,} of these belong to " if count else ""), *((heap_type(kind),) if count else ()), "."),
            evidence=(
                Evidence(f"{len(own):,} callbacks are registered on it", heap_object(source)),
                *((Evidence(f"{count:,} callbacks belong to it", heap_type(kind)),) if count else ()),
                *evidence,
            ),
        )  # fmt: skip


def _looked_at(execution: Execution) -> str:
    nodes, lists = _registrations(execution)
    return f"{len(nodes):,} registrations on {len(np.unique(lists)):,} cancellation sources"


RULE = Rule(
    name="cancellation-registrations",
    title="Registrations on a token that are never disposed",
    look=_look,
    looked_at=_looked_at,
    why="A token that lives as long as the process collects what is registered on it: linked sources, waits, callbacks. Each "
    "keeps what it refers to.",
    what_to_do=(
        "Dispose what CancellationToken.Register and CreateLinkedTokenSource give back, with using.",
        "Give long-lived tokens to few; make a source of its own for each request.",
    ),
    false_alarm="When that much work under the same token was under way at the moment of the dump.",
)

"""Findings: what rules say is wrong, with evidence. A rule is one small file in ``rules``; docs/rules.md says how to add one.

Sentences are lists of words and references, so that a page can show a thread by its name only to those who may see it:
nothing here is above structure (D1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

from analysis.errors import AnalysisError
from analysis.insight.execution import Execution
from analysis.insight.waits.parts import Certainty
from analysis.limits import LIMITS


class Severity(IntEnum):
    """How bad it is; the names are those of the index."""

    NOTICE = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Reference:
    """A row of a table of the index: ``table`` is thread, lock, frame, method, exception, object, type or root."""

    table: str
    row: int


#: Words and references in their order.
Sentence = tuple[str | Reference, ...]


def thread(row: int) -> Reference:
    return Reference("thread", row)


def lock(row: int) -> Reference:
    return Reference("lock", row)


def frame(row: int) -> Reference:
    return Reference("frame", row)


def exception(row: int) -> Reference:
    return Reference("exception", row)


def heap_object(row: int) -> Reference:
    return Reference("object", row)


def heap_type(row: int) -> Reference:
    return Reference("type", row)


def root(row: int) -> Reference:
    return Reference("root", row)


def listed(references: Sequence[Reference], most: int = 4) -> list[str | Reference]:
    """``a, b and c``; of a long list the first ones and how many more there are."""
    shown = references[:most]
    rest = len(references) - len(shown)
    words: list[str | Reference] = []
    for place, reference in enumerate(shown):
        last = place == len(shown) - 1 and not rest
        words += [" and " if last else ", ", reference] if place else [reference]
    return [*words, f" and {rest:,} more"] if rest else words


@dataclass(frozen=True, slots=True)
class Evidence:
    """One linked fact behind a finding."""

    text: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. ``impact`` is the share of the process that suffers, 0 to 1."""

    severity: Severity
    confidence: Certainty
    impact: float
    title: Sentence
    summary: Sentence
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule looks for and what there is to say about its findings.

    ``look`` gives findings; ``looked_at`` says in a few words what it looked at, for the list of rules that passed. A rule
    that cannot answer raises NotApplicable with the reason.
    """

    name: str
    title: str
    look: Callable[[Execution], Iterable[Finding]]
    looked_at: Callable[[Execution], str]
    why: str
    what_to_do: tuple[str, ...]
    false_alarm: str
    version: int = 1


class NotApplicable(AnalysisError):
    """A rule cannot run on this dump; the text says why."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Findings, the most important first, with their rules; rules that passed and rules that could not run, with words."""

    found: tuple[tuple[Rule, Finding], ...]
    passed: tuple[tuple[Rule, str], ...]
    not_run: tuple[tuple[Rule, str], ...]


def diagnose(execution: Execution, rules: Iterable[Rule]) -> Diagnosis:
    """Run every rule. One that fails is reported as not run and never ends the analysis."""
    found: list[tuple[Rule, Finding]] = []
    passed: list[tuple[Rule, str]] = []
    not_run: list[tuple[Rule, str]] = []
    for rule in rules:
        try:
            findings = list(islice(rule.look(execution), LIMITS.findings_per_rule))
            looked_at = rule.looked_at(execution)
        except AnalysisError as error:
            not_run.append((rule, str(error)))
            continue
        except Exception as error:  # a fault in one rule must not cost the answers of all others
            not_run.append((rule, f"the rule itself failed ({type(error).__name__})"))
            continue
        found += [(rule, finding) for finding in findings]
        if not findings:
            passed.append((rule, looked_at))
    found.sort(key=lambda pair: (-pair[1].severity, -pair[1].impact, pair[0].name))
    return Diagnosis(tuple(found), tuple(passed), tuple(not_run))

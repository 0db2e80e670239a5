"""The engine's facts equal the reference reader's on every dump of the families (the rules are in ``comparison``)."""

from __future__ import annotations

import pytest

from analysis.dump import Dump
from analysis.reference_facts import reference_facts
from tests.analysis.comparison import RULES, Answers, Rule
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps


@pytest.fixture(scope="module")
def answers(reference: ReferenceDump, dump: Dump) -> Answers:
    return Answers(reference.name, reference_facts(dump), reference.oracle)


def test_every_family_is_compared() -> None:
    families = {dump.path.parent.name for dump in reference_dumps()}
    assert families == {"net10", "net9", "net8", "web"}, "unpack the reference dumps first (docs/engine.md)"


@pytest.mark.parametrize("compare", RULES, ids=lambda rule: rule.__name__)
def test_facts_equal_the_reference(answers: Answers, compare: Rule) -> None:
    compare(answers)

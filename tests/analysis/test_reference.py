"""The engine's facts equal the reference reader's on every dump of the families (the rules are in ``comparison``)."""

from __future__ import annotations

import pytest

from analysis.dump import Dump
from analysis.reference_facts import reference_facts
from tests.analysis.bundled_dumps import bundled_dumps
from tests.analysis.comparison import RULES, Answers, Rule
from tests.analysis.reference_dumps import FAMILIES, UNPACK, ReferenceDump, reference_dumps
from tests.analysis.stack_comparison import LOCK_RULES


@pytest.fixture(scope="module")
def answers(reference: ReferenceDump, dump: Dump) -> Answers:
    return Answers(reference.name, reference_facts(dump), reference.oracle)


def test_every_family_beside_the_project_is_compared() -> None:
    folders = {dump.path.parent.name for dump in reference_dumps()}
    assert len(reference_dumps()) >= len(bundled_dumps()) > 3
    assert not UNPACK.exists() or folders.issuperset(FAMILIES)


@pytest.mark.parametrize("compare", (*RULES, *LOCK_RULES), ids=lambda rule: rule.__name__)
def test_facts_equal_the_reference(answers: Answers, compare: Rule) -> None:
    compare(answers)

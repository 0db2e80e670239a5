"""Figures that a test run prints when it ends: how many of the attempts that a goal names went as they should.

Tests call ``count``; what they counted travels with their report, so that it arrives from other processes too.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

_PROPERTY = "goal"
_FOUND: dict[str, list[int]] = defaultdict(lambda: [0, 0])


class Goals:
    """Counts of one test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._properties = request.node.user_properties

    def count(self, goal: str, good: int, of: int) -> None:
        """``good`` of ``of`` attempts went as the goal wants it; a test still asserts what it needs."""
        self._properties.append((_PROPERTY, (goal, good, of)))


@pytest.fixture
def goals(request: pytest.FixtureRequest) -> Goals:
    return Goals(request)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, value in report.user_properties:
            if name == _PROPERTY:
                goal, good, of = value
                _FOUND[goal][0] += good
                _FOUND[goal][1] += of


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for goal in sorted(_FOUND):
        good, of = _FOUND[goal]
        terminalreporter.write_line(f"{goal}: {good:,} of {of:,}")

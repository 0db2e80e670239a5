"""What a test run prints when it ends: the figures of goals, how many dumps were compared.

Tests say it of themselves, and it travels with their reports, so that it arrives from other processes too.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

_GOAL, _COMPARED = "goal", "compared"
_FOUND: dict[str, list[int]] = defaultdict(lambda: [0, 0])
_NAMES: dict[str, set[str]] = defaultdict(set)


class Goals:
    """Counts of one test."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._properties = request.node.user_properties

    def count(self, goal: str, good: int, of: int) -> None:
        """``good`` of ``of`` attempts went as the goal wants it; a test still asserts what it needs."""
        self._properties.append((_GOAL, (goal, good, of)))


@pytest.fixture
def goals(request: pytest.FixtureRequest) -> Goals:
    return Goals(request)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that gets a dump with a reference's answers as its parameter holds it against them."""
    for value in item.callspec.params.values() if hasattr(item, "callspec") else ():
        if what := getattr(value, "counted_as", ""):
            item.user_properties.append((_COMPARED, (what, value.name)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call":
        return
    for key, value in report.user_properties:
        if key == _GOAL:
            goal, good, of = value
            _FOUND[goal][0] += good
            _FOUND[goal][1] += of
        elif key == _COMPARED:
            what, name = value
            _NAMES[what].add(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for what in sorted(_NAMES):
        terminalreporter.write_line(f"{len(_NAMES[what])} {what} compared with the reference reader")
    for goal in sorted(_FOUND):
        good, of = _FOUND[goal]
        terminalreporter.write_line(f"{goal}: {good:,} of {of:,}")

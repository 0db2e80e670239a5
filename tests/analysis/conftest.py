"""Fixtures of the engine's tests, and the closing line that says how many dumps were compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from analysis.dump import Dump

pytest.register_assert_rewrite("tests.analysis.comparison")

from tests.analysis.reference_dumps import COMPARED, ReferenceDump, reference_dumps  # noqa: E402


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "reference" in metafunc.fixturenames:
        dumps = reference_dumps()
        metafunc.parametrize("reference", dumps, ids=[dump.name for dump in dumps], scope="module")


@pytest.fixture(scope="module")
def dump(reference: ReferenceDump) -> Iterator[Dump]:
    """The engine's view of the dump; counted as compared."""
    COMPARED.add(reference.name)
    yield Dump(reference.path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if COMPARED:
        terminalreporter.write_line(f"{len(COMPARED)} real dumps compared with the reference reader")

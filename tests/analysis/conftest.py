"""Fixtures of the engine's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from analysis.dump import Dump
from tests.analysis.fresh_dumps import LAB, FreshDumps
from tests.analysis.reference_dumps import ReferenceDump, reference_dumps

# Without the lab beside the project no dump can be made; the closing line says so.
collect_ignore = (
    [] if LAB.exists() else ["test_fresh_dumps.py", "test_fresh_waits.py", "test_fresh_hoards.py", "test_scrubbed_fresh.py"]
)


@pytest.fixture(scope="session")
def fresh_dumps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshDumps]:
    """Dumps made by the lab, deleted when the last test is done."""
    directory = tmp_path_factory.mktemp("fresh")
    dumps = FreshDumps(directory)
    yield dumps
    dumps.close()
    shutil.rmtree(directory)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "reference" in metafunc.fixturenames:
        dumps = reference_dumps()
        metafunc.parametrize("reference", dumps, ids=[dump.name for dump in dumps], scope="module")


@pytest.fixture(scope="module")
def dump(reference: ReferenceDump) -> Iterator[Dump]:
    """The engine's view of the dump."""
    yield Dump(reference.path)

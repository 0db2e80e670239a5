"""Which layout is believed, and what is said about it."""

from __future__ import annotations

import pytest

from analysis.contracts.layout import MAJORS, bundled_layout
from analysis.dump import Dump
from tests.analysis.bundled_dumps import bundled_dump

_VERSIONS = {"zoo-net10": "10.0.12", "finalizer-net9": "9.0.22", "zoo-net8": "8.0.33"}


@pytest.mark.parametrize("name", _VERSIONS)
def test_a_build_never_seen_is_read_by_the_layout_of_its_major_version(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for major in MAJORS:
        for build_id in list(bundled_layout(major).verified_builds):
            monkeypatch.delitem(bundled_layout(major).verified_builds, build_id)
    runtime = Dump(bundled_dump(name)).runtime
    assert (runtime.version, runtime.build_known, runtime.doubts) == (_VERSIONS[name], False, [])


@pytest.mark.parametrize("name", _VERSIONS)
def test_a_build_seen_before_is_known_and_all_checks_hold(name: str) -> None:
    runtime = Dump(bundled_dump(name)).runtime
    assert (runtime.version, runtime.build_known, runtime.doubts) == (_VERSIONS[name], True, [])


def test_a_mini_dump_lacks_the_memory_of_checks_but_fails_none() -> None:
    runtime = Dump(bundled_dump("zoo-mini-net10")).runtime
    assert runtime.failed_checks == []
    assert [check.split(":")[0] for check in runtime.unmade_checks] == ["System.String"]

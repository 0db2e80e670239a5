"""The sample on its whole way: uploaded, read by the real engine, and equal to the reference reader's answers."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import pytest
import zstandard

from analysis.index import open_index
from explorer.models import Analysis, Dump, State
from explorer.services import analyses
from explorer.services.engine import warm_kernels
from explorer.services.samples import SAMPLE, add_sample
from explorer.services.uploads import Labels, append, create_upload

REFERENCE = Path(__file__).resolve().parents[1] / "data" / "zoo-net10.oracle.json.zst"


@pytest.fixture(autouse=True)
def kernels_compiled_before(settings) -> None:
    """Compiled kernels are kept from run to run, and made before the server starts."""
    kept = settings.BASE_DIR / "data" / "kernels"
    kept.mkdir(parents=True, exist_ok=True)
    (settings.DATA_DIR / "kernels").symlink_to(kept)
    _compile_once()


@cache
def _compile_once() -> None:
    warm_kernels()


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads(zstandard.decompress(REFERENCE.read_bytes(), max_output_size=1 << 28))


@pytest.fixture(scope="module")
def content() -> bytes:
    with zstandard.open(SAMPLE) as file:
        return file.read()


def analysed(dump: Dump) -> Analysis:
    analyses.run(dump.analysis.pk)
    return dump.analysis


def uploaded(team, user, content: bytes) -> Dump:
    upload = create_upload(user=user, team=team, name="zoo.dmp", length=len(content), labels=Labels())
    append(upload=upload, offset=0, body=io.BytesIO(content), length=len(content))
    return upload.dump


def test_the_sample_becomes_a_result(team, bob, reference: dict) -> None:
    row = analysed(add_sample(user=bob, team=team))
    assert (row.state, row.error_what) == (State.DONE, "")
    heap = reference["heap"]
    assert (row.object_count, row.heap_bytes) == (heap["objects"], heap["bytes"])
    assert row.thread_count == len(reference["threads"])
    assert row.runtime_version.startswith("10.0")
    assert row.dump_kind == "heap"
    assert row.process_name
    assert add_sample(user=bob, team=team) == row.dump
    index = open_index(row.index_directory)
    assert len(index.column("objects", "address")) == heap["objects"]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_copy_ends_with_words(team, bob, content: bytes, share: float) -> None:
    row = analysed(uploaded(team, bob, content[: int(len(content) * share)]))
    if row.state == State.FAILED:
        assert row.error_what and row.error_code not in ("engine_crashed", "gave_up"), row.log
    else:
        assert row.state == State.DONE
        items = open_index(row.index_directory).facts("coverage")["items"]
        assert any(item["state"] != "complete" and item["reason"] for item in items)


def test_a_core_of_nothing_is_refused_with_words(team, bob) -> None:
    from tests.explorer.elf_cores import core_bytes

    row = analysed(uploaded(team, bob, core_bytes(5000)))
    assert row.state == State.FAILED
    assert row.error_code not in ("engine_crashed", "gave_up"), row.log
    assert row.error_what
    assert row.error_remedy

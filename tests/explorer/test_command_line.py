"""``dump-explorer analyse`` and the parts of ``upload`` that need no server."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.cli import main
from tests.analysis.bundled_dumps import bundled_dump


def test_analyse_prints_summary_coverage_and_types(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(bundled_dump("finalizer-net9"))]) == 0
    said = capsys.readouterr().out
    assert ".NET 9.0" in said and "Heap complete" in said and "System.String" in said


def test_analyse_of_a_wrong_file_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a dump")
    assert main(["analyse", str(path)]) == 1
    said = capsys.readouterr().err
    assert "text" in said and "Traceback" not in said


def test_upload_without_a_token_says_where_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"x")
    assert main(["upload", str(path), "--token", ""]) == 1
    assert "account page" in capsys.readouterr().err


def test_upload_to_no_server_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"x")
    assert main(["upload", str(path), "--token", "dex_x", "--server", "http://127.0.0.1:9"]) == 1
    assert "no server answers" in capsys.readouterr().err

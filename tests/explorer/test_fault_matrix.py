"""The fault matrix: wherever the product is struck, and with whatever, everything ends in done or failed with a reason."""

from __future__ import annotations

import json
from pathlib import Path

from tests.explorer.faults import FAULTS, POINTS
from tests.explorer.served import clean_environment, run_python
from tests.goals import Goals

_RUN = "from pathlib import Path\nfrom tests.explorer.fault_matrix import main\nmain(Path({directory!r}))"


def test_wherever_it_is_struck_it_recovers(tmp_path: Path, goals: Goals) -> None:
    environment = clean_environment(tmp_path / "data")
    lines = run_python(_RUN.format(directory=str(tmp_path)), environment).splitlines()
    cells = [json.loads(line) for line in lines if line.startswith('{"point"')]
    wrong = [cell for cell in cells if cell["problems"]]
    goals.count("G1 cells of the fault matrix that ended well", len(cells) - len(wrong), len(POINTS) * len(FAULTS))
    assert not wrong
    assert {(cell["point"], cell["fault"]) for cell in cells} == {(point.name, fault) for point in POINTS for fault in FAULTS}
    assert {cell["ended"] for cell in cells} == {"done", "failed", "deleted"}
    assert all(cell["reason"] for cell in cells if cell["ended"] == "failed")

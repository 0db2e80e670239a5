"""Workers that are killed in each stage of an analysis, as real processes over a real database."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import engine_command
from tests.explorer.fake_engine import STAGES
from tests.explorer.served import ROOT, clean_environment, migrate, run_python
from tests.explorer.waiting_analyses import is_running, wait_for_pid

MAKE_DUMP = """
import io, sys
from explorer.models import Analysis, Team, User
from explorer.services.teams import first_administrator
from explorer.services.uploads import Labels, append, create_upload
from tests.explorer.elf_cores import core_bytes
if not User.objects.exists():
    first_administrator()
for seed in range({first}, {first} + {count}):
    content = core_bytes(seed=seed)
    upload = create_upload(user=User.objects.get(), team=Team.objects.get(), name="x", length=len(content), labels=Labels())
    append(upload=upload, offset=0, body=io.BytesIO(content), length=len(content))
    print(upload.dump.analysis.pk)
"""
RUN = """
from explorer.services import analyses
analyses.run("{analysis}")
"""
REAP_AND_RUN = """
from analysis.index import open_index
from explorer.models import Analysis
from explorer.services import analyses
analyses.reap()
before = Analysis.objects.get(pk="{analysis}").state
analyses.run("{analysis}")
row = Analysis.objects.get(pk="{analysis}")
types = open_index(row.index_directory).rows["types"]
print(before, row.state, row.attempts, len(list(row.dump.directory.glob("index-*"))), types)
"""


def test_a_worker_killed_in_any_stage_loses_nothing(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path / "data", EXPLORER_LEASE_SECONDS="1", EXPLORER_FREE_DISK_BYTES="1000000")
    migrate(environment)
    setup = "import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'explorer.settings'; django.setup()\n"
    made = run_python(MAKE_DUMP.format(count=len(STAGES), first=0), environment).split()
    for analysis, stage in zip(made, STAGES, strict=True):
        marker = tmp_path / f"killed-in-{stage}"
        environment["EXPLORER_ENGINE_COMMAND"] = engine_command("slow", stage, str(marker))
        worker = subprocess.Popen([sys.executable, "-c", setup + RUN.format(analysis=analysis)], cwd=ROOT, env=environment)
        engine = wait_for_pid(marker)
        worker.kill()
        worker.wait()
        time.sleep(1.1)
        assert not is_running(engine), "the engine ends with its worker"
        assert run_python(REAP_AND_RUN.format(analysis=analysis), environment) == "queued done 2 1 5"
        assert not list((tmp_path / "data" / "scratch").iterdir())

"""Analyses that wait for a worker, and engines that are watched."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.utils import timezone

from explorer.models import Analysis, Dump
from tests.explorer.elf_cores import core_bytes
from tests.stored_dumps import keep_original


def received(team, user, content: bytes | None = None) -> Analysis:
    content = core_bytes() if content is None else content
    dump = Dump.objects.create(
        team=team, name="shop.dmp", original_name="shop.dmp", sha256=uuid4().hex * 2, size_bytes=len(content), uploaded_by=user
    )
    keep_original(dump, content)
    return Analysis.objects.create(dump=dump)


def again(analysis: Analysis) -> Analysis:
    return Analysis.objects.select_related("dump").get(pk=analysis.pk)


def expire(analysis: Analysis) -> None:
    Analysis.objects.filter(pk=analysis.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def wait_for_pid(marker: Path) -> int:
    for _ in range(200):
        if marker.exists() and (text := marker.read_text()):
            return int(text)
        time.sleep(0.05)
    raise AssertionError("the engine did not start")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False

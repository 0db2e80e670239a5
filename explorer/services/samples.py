"""The bundled sample: a small real dump, so that a newcomer without one sees a result within a minute."""

from __future__ import annotations

import io
from pathlib import Path

from explorer.models import Dump, Team, User
from explorer.services.uploads import Labels, append, create_upload

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "zoo-net10.dmp.zst"


def add_sample(*, user: User, team: Team) -> Dump:
    """Add the sample to a team by the way every upload goes; the dump that is there already when there is one."""
    content = SAMPLE.read_bytes()
    upload = create_upload(user=user, team=team, name=SAMPLE.name, length=len(content), labels=Labels(service="sample"))
    append(upload=upload, offset=0, body=io.BytesIO(content), length=len(content))
    if upload.dump is None:
        raise RuntimeError("a complete upload has a dump")
    return upload.dump

"""SQL over the index of one dump, answered by a limited child process."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path

from django.conf import settings

from analysis.index import DataClass
from explorer.pages.sql_table import SqlResult
from explorer.services.engine import EngineCrashed, EngineRefused, query_index

#: Queries that one web process runs at a time: each may use two processors for seconds.
_AT_ONCE = threading.BoundedSemaphore(2)
_WAIT_SECONDS = 5


class SqlRefused(Exception):
    """A query that was not answered; the text says why and what to do."""


def ask(index: Path, text: str, highest: DataClass) -> SqlResult:
    """The answer to one SELECT over what somebody with the right to ``highest`` may see. Raises SqlRefused."""
    if not _AT_ONCE.acquire(timeout=_WAIT_SECONDS):
        raise SqlRefused("Other queries are running; ask again in a moment.")
    try:
        settings.SCRATCH_DIR.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR) as directory:
            sql, result = Path(directory) / "query.sql", Path(directory) / "result.json"
            sql.write_text(text)
            query_index(index, sql, result, highest)
            found = json.loads(result.read_text())
    except EngineRefused as refused:
        raise SqlRefused(f"{refused.what[:1].upper()}{refused.what[1:]}\n{refused.remedy}".strip()) from None
    except EngineCrashed as crashed:
        raise SqlRefused(f"The query was ended: {crashed}. Ask for less.") from None
    finally:
        _AT_ONCE.release()
    columns = [(str(name), str(kind)) for name, kind in found["columns"]]
    return SqlResult(columns, found["rows"], bool(found["more"]), float(found["seconds"]))

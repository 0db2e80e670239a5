"""How fast texts are looked at for secrets: ``python -m benchmarks.secrets DUMP …`` prints a table.

Seconds are processor time of the one thread that works, the best of five rounds: the whole search with all that follows from
it, and the strings alone. A made-up log of 100 MB stands for long texts; secrets and addresses occur in it as they do in logs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.strings import find_strings
from analysis.secrets.find import find_secrets
from analysis.secrets.heap import texts_of_strings
from analysis.secrets.scan import scan

_ROUNDS, _LOG_BYTES = 5, 100_000_000
_LINES = (
    "2026-11-30 02:00:22.123 +00:00 [INF] Shop.Orders.Checkout: order {0} of customer {1} was taken in {2} ms",
    '2026-11-30 02:00:22.124 +00:00 [DBG] EntityFrameworkCore: SELECT "o"."Total" FROM "Orders" AS "o" WHERE "o"."Id" = {0}',
    "2026-11-30 02:00:22.125 +00:00 [INF] Finished GET https://shop.example.test/orders/{0}?page={1} - 200 in {2} ms",
)
_SECRET = "2026-11-30 02:00:22.126 +00:00 [WRN] Login of user{0}@example.test failed, password=Xy{1}-{2}!"
_LINES_BETWEEN_SECRETS = 1000


def _seconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(_ROUNDS):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return min(found)


def _row(name: str, size: int, seconds: float, hits: int) -> str:
    return f"| {name} | {size / 1e6:,.1f} | {seconds * 1000:,.1f} | {size / 1e6 / seconds:,.0f} | {hits:,} |"


def _of_dump(path: Path) -> list[str]:
    dump = Dump(path)
    walked = dump.walk()
    if walked is None:
        raise SystemExit(f"no heap in {path}")
    strings, retention = find_strings(dump, walked), Retention(dump, walked)
    found = find_secrets(dump, walked, strings, retention)
    whole = _seconds(lambda: find_secrets(dump, walked, strings, retention))
    texts = texts_of_strings(dump, walked, strings)
    alone = _seconds(lambda: scan(texts.units, texts.begins, texts.lengths))
    hits = len(scan(texts.units, texts.begins, texts.lengths).text)
    every = 2 * int(strings.lengths.sum())
    return [
        _row(f"{path.stem}, everything", found.scanned.bytes, whole, len(found.rows)),
        _row(f"{path.stem}, {len(strings.rows):,} strings with copies", every, alone, hits),
        _row(f"{path.stem}, {len(texts.begins):,} different texts", texts.size_bytes, alone, hits),
    ]


def _of_log() -> str:
    made, size, number = list[str](), 0, 0
    while size < _LOG_BYTES:
        line = _SECRET if number % _LINES_BETWEEN_SECRETS == 0 else _LINES[number % len(_LINES)]
        made.append(line.format(number, number * 7919 % 100_003, number % 977))
        size, number = size + 2 * len(made[-1]), number + 1
    lengths = np.array([len(line) for line in made], np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[:-1]
    units = np.frombuffer("".join(made).encode("utf-16-le"), np.uint16)
    seconds = _seconds(lambda: scan(units, begins, lengths))
    return _row(f"made-up log, {len(made):,} lines", size, seconds, len(scan(units, begins, lengths).text))


def main(paths: list[Path]) -> None:
    """Print the table."""
    rows = ["| texts | MB | ms | MB/s | found |", "| --- | ---: | ---: | ---: | ---: |"]
    rows += [row for path in paths for row in _of_dump(path)]
    sys.stdout.write("\n".join([*rows, _of_log()]) + "\n")


if __name__ == "__main__":
    main([Path(one) for one in sys.argv[1:]])

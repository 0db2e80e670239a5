"""How long full-text search takes over many dumps: ``python -m benchmarks.search [dumps] [types]``.

Dumps of five services: of the names of one, two fifths are the framework's, most of the rest the service's, some of the
build. Makes a database of its own in a directory that is deleted at the end, or uses the one in EXPLORER_DATABASE_URL's
server, as a test database.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

_SERVICES, _ROUNDS = 5, 7
_ASKED = ("customer", "dictionary customer", "Generic.Dictionary", "cust", "feature12345", "nothing", "string", "system")


def _names(dump: int, types: int) -> list[str]:
    """Names as real heaps have them: 60 to 90 characters, generic every other one."""
    service, names = dump % _SERVICES, []
    for number in range(types):
        if number < types * 2 // 5:
            owner = f"System.Part{number % 97}.Framework{number}"
        elif number < types * 19 // 20:
            owner = f"Company.Service{service}.Feature{number}.{'Customer' if number % 399 == 0 else 'Order'}Handler"
        else:
            owner = f"Company.Service{service}.Build{dump}.Generated{number}"
        generic = f"System.Collections.Generic.Dictionary<System.String, {owner}>"
        names.append(generic if number % 2 else owner)
    return names


def _milliseconds(work: Callable[[], object]) -> float:
    """The best of some rounds, by the processor: other work on the machine only makes the clock run longer."""
    taken = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - start))
    return min(taken)


def main() -> None:
    dumps, types = (int(text) for text in (*sys.argv[1:3], *("100", "20000")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as directory:
        os.environ["EXPLORER_DATA_DIR"] = directory
        os.environ["DJANGO_SETTINGS_MODULE"] = "explorer.settings"
        import django

        django.setup()
        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        kept = setup_databases(verbosity=0, interactive=False)
        try:
            _measure(dumps, types)
            print(f"database: {connection.vendor}")
        finally:
            teardown_databases(kept, verbosity=0)


def _measure(dumps: int, types: int) -> None:
    from explorer.models import Analysis, Dump, Role, SearchedName, State, Team, User
    from explorer.queries import dumps_visible_to
    from explorer.services.search import find, hits
    from explorer.services.search_kinds import BY_SLUG
    from explorer.services.search_rows import FoundNames, replace_postings

    team, person = Team.objects.create(name="t"), User.objects.create(username="u")
    team.memberships.create(user=person, role=Role.ANALYST)
    written = []
    for number in range(dumps):
        dump = Dump.objects.create(team=team, name=f"d{number}", original_name="d", sha256=str(number), size_bytes=1)
        analysis = Analysis.objects.create(dump=dump, state=State.DONE)
        places = {name: row for row, name in enumerate(_names(number, types))}
        start = time.perf_counter()
        replace_postings(dump, [FoundNames(BY_SLUG["type"], places, 0)], analysis)
        written.append(time.perf_counter() - start)
    print(f"{dumps} dumps, {types:,} types each, {SearchedName.objects.count():,} different names")
    print(f"written: first dump {written[0]:.2f} s, median {statistics.median(written):.2f} s, last {written[-1]:.2f} s")
    visible = dumps_visible_to(person)
    for asked in _ASKED:
        found = find(person, visible, asked)
        total = sum(count for counts in found.by_dump.values() for count in counts.values())
        counting = _milliseconds(lambda asked=asked: find(person, visible, asked))
        listing = _milliseconds(lambda found=found: hits(person, found, [*found.by_dump][:20], 5))
        print(f"{asked:24} {total:>10,} hits in {len(found.by_dump):>4} dumps   find {counting:7.1f} ms   list {listing:6.1f} ms")


if __name__ == "__main__":
    main()

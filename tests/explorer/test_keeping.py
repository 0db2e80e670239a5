"""How long a team keeps: originals go and the analysis stays and says so, dumps go to the trash; the same file brings back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DataError
from django.urls import reverse
from django.utils import timezone

from explorer.models import Analysis, AuditEntry, Dump, OriginalRequest, State, Team, User
from explorer.services import analyses, keeping, removal, trash
from explorer.services.audit import AuditUnavailable, by_the_server
from explorer.services.vault import OriginalGone
from tests.explorer.elf_cores import core_bytes
from tests.explorer.pages.visits import WHY, address, body_of
from tests.explorer.test_authentication import sign_in
from tests.explorer.test_originals import with_second_factor
from tests.explorer.test_teams import signed_in
from tests.explorer.tus_client import Tus
from tests.index_builder import HEAP_START
from tests.stored_dumps import analysed_dump, content_of

GONE = "The original file was deleted on"


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob)
    for name in ("original", "unpacked", "scrubbed.dmp"):
        (dump.directory / name).write_bytes(b"bytes")
    return dump


@pytest.fixture
def enforced(django_capture_on_commit_callbacks: Callable) -> Callable[[], int]:
    def enforce() -> int:
        with django_capture_on_commit_callbacks(execute=True):
            return keeping.enforce()

    return enforce


def aged(days: float) -> None:
    Dump.objects.update(kept_since=timezone.now() - timedelta(days=days))


def test_leads_say_how_long(team: Team, alice: User, ada: User) -> None:
    path = reverse("team-keeping", args=[team.pk])
    signed_in(alice).post(path, {"originals": "30", "dumps": ""})
    assert (Team.objects.get().keep_originals_days, Team.objects.get().keep_dumps_days) == (30, None)
    for wrong in ("0", "-1", "x", "1.5", "99999999999", "²"):
        body = signed_in(alice).post(path, {"originals": wrong}, follow=True).content.decode()
        assert "A whole number from 1" in body
    signed_in(ada).post(path, {"originals": "", "dumps": "365"})
    assert (Team.objects.get().keep_originals_days, Team.objects.get().keep_dumps_days) == (None, 365)
    assert [row.detail for row in AuditEntry.objects.all()] == [
        "originals: for ever, dumps: 365 days", "originals: 30 days, dumps: for ever",
    ]  # fmt: skip
    assert "365" in signed_in(alice).get(reverse("team")).content.decode()


def test_the_original_goes_and_the_analysis_stays(team: Team, dump: Dump, alice: User, enforced: Callable) -> None:
    Team.objects.update(keep_originals_days=30)
    aged(29.9)
    assert enforced() == 0 and dump.original.exists()
    aged(30.1)
    assert enforced() == 1
    assert [path.name for path in dump.directory.iterdir()] == [f"index-{dump.analysis.pk}"]
    assert enforced() == 0
    row = AuditEntry.objects.get()
    assert (row.actor_name, row.action, row.dump_key) == ("the server", "delete_original", dump.pk)
    assert "30 days" in row.detail
    assert Dump.objects.get().stored_bytes < 1 << 20


def test_other_teams_and_those_that_keep_everything_are_left_alone(
    team: Team, dump: Dump, mallory: User, enforced: Callable
) -> None:
    aged(4000)
    assert enforced() == 0
    Team.objects.filter(name="Others").update(keep_originals_days=1, keep_dumps_days=1)
    assert enforced() == 0 and dump.original.exists()


def test_an_analysis_reads_its_file_to_the_end(team: Team, dump: Dump, enforced: Callable) -> None:
    Team.objects.update(keep_originals_days=1)
    aged(2)
    running = Analysis.objects.create(dump=dump, state=State.RUNNING)
    assert enforced() == 0 and dump.original.exists()
    Analysis.objects.filter(pk=running.pk).update(state=State.FAILED)
    assert enforced() == 1


def test_old_dumps_go_to_the_trash_and_a_restored_one_starts_anew(
    team: Team, dump: Dump, alice: User, enforced: Callable
) -> None:
    Team.objects.update(keep_dumps_days=10)
    aged(11)
    assert enforced() == 1
    body = signed_in(alice).get(reverse("trash", args=[team.pk])).content.decode()
    assert "the server: Shop keeps dumps for 10 days" in body
    signed_in(alice).post(reverse("trash-restore", args=[dump.pk]))
    assert enforced() == 0
    assert Dump.objects.get().trashed_at is None


@pytest.mark.parametrize("fault", [OSError(28, "full"), AuditUnavailable(), DataError("too long")])
def test_one_dump_that_cannot_go_keeps_no_other(
    team: Team, dump: Dump, bob: User, enforced: Callable, monkeypatch: pytest.MonkeyPatch, fault: Exception,
    django_capture_on_commit_callbacks: Callable,
) -> None:  # fmt: skip
    """Whichever comes first: files that go, dumps that go to the trash and out of it."""
    other = analysed_dump(team, bob, "other.dmp")
    write_down = removal.write_down

    def fail(*arguments: object, dump: Dump, **fields: object) -> AuditEntry:
        if dump.pk == broken:
            raise fault
        return write_down(*arguments, dump=dump, **fields)

    for service in (removal, trash):
        monkeypatch.setattr(service, "write_down", fail)
    broken = Dump.objects.order_by("-created_at")[0].pk  # the first of the list
    (sound,) = {dump.pk, other.pk} - {broken}
    Team.objects.update(keep_originals_days=1)
    aged(2)
    assert enforced() == 1 and Dump.objects.exclude(original_removed_at=None).get().pk == sound
    Team.objects.update(keep_dumps_days=1)
    assert enforced() == 1 and Dump.objects.exclude(trashed_at=None).get().pk == sound
    Dump.objects.update(trashed_at=timezone.now() - timedelta(days=400))
    with django_capture_on_commit_callbacks(execute=True):
        assert trash.expire() == 1
    assert Dump.objects.get().pk == broken


def test_a_team_with_the_longest_name_keeps_dumps_for_its_days(team: Team, dump: Dump, enforced: Callable) -> None:
    Team.objects.update(name="x" * 100, keep_dumps_days=10)
    aged(11)
    assert enforced() == 1
    assert Dump.objects.get().trash_note == "x" * 100, "PostgreSQL takes no more"


@pytest.fixture
def bare(dump: Dump, django_capture_on_commit_callbacks: Callable) -> Dump:
    with django_capture_on_commit_callbacks(execute=True):
        removal.remove_original(request=by_the_server(), dump=dump, detail="")
    return Dump.objects.get()


def test_pages_work_without_the_original_and_say_what_is_lost(bare: Dump, alice: User, bob: User) -> None:
    client = signed_in(alice)
    for page in ("dump-types", "dump-threads", "dump-locks", "dump-findings", "dump-crash", "dump-modules", "dump-query"):
        assert "no original</span>" in body_of(client, address(bare, page))
    overview = body_of(client, address(bare, "dump-overview"))
    assert "Analyse again" not in overview and "Delete" in overview
    values = body_of(client, address(bare, "dump-object", f"{HEAP_START:x}"))
    assert GONE in values and "Show values" not in values and "upload it again" in values
    assert GONE in body_of(client, address(bare, "dump-access"))
    other = analysed_dump(bare.team, bob, "other.dmp")
    assert client.get(reverse("dump-compare", args=[bare.pk, other.pk])).status_code == 200


def test_acts_that_need_the_original_say_why_not(bare: Dump, alice: User, erin: User) -> None:
    client = sign_in("alice")
    body = client.post(address(bare, "dump-object-values", f"{HEAP_START:x}"), WHY).content.decode()
    assert GONE in body
    assert GONE in client.get(address(bare, "dump-object-masked", f"{HEAP_START:x}")).content.decode()
    body = client.post(address(bare, "dump-rerun"), follow=True).content.decode()
    assert GONE in body and Analysis.objects.count() == 1
    with pytest.raises(OriginalGone):
        analyses.rerun(dump=bare)
    proven = with_second_factor("erin")
    assert GONE in proven.post(address(bare, "dump-original-ask"), WHY, follow=True).content.decode()
    assert not OriginalRequest.objects.exists()
    assert (
        GONE in proven.post(address(bare, "dump-memory"), {**WHY, "address": f"{HEAP_START:x}", "length": "16"}).content.decode()
    )


def test_a_failed_analysis_without_its_original_promises_nothing(bare: Dump, alice: User) -> None:
    Analysis.objects.update(state=State.FAILED, error_what="It broke.")
    body = body_of(signed_in(alice), address(bare, "dump-overview"))
    assert "The dump itself is kept" not in body and GONE in body and "Analyse again" not in body


def test_the_same_file_again_brings_the_original_back(
    team: Team, bob: User, alice: User, django_capture_on_commit_callbacks: Callable, enforced: Callable
) -> None:
    content = core_bytes(9000)
    Tus(bob).upload(content)
    dump = Dump.objects.get()
    Analysis.objects.update(state=State.DONE)
    Team.objects.update(keep_originals_days=5)
    aged(6)
    assert enforced() == 1 and not dump.original.exists()
    answer = Tus(alice).upload(content)
    assert answer["Dump-Location"] == dump.get_absolute_url()
    row = Dump.objects.get()
    assert (row.without_original, content_of(row)) == ("", content)
    assert enforced() == 0, "its days count from now"

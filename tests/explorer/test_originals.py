"""The original file leaves the server when two people agree, each with a second factor just shown."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from explorer.models import AuditEntry, Dump, Membership, OriginalRequest, Role, Team, User
from explorer.sealed_files import Damaged
from explorer.services.audit_names import Names
from explorer.services.vault import Original
from tests.explorer.pages.visits import WHY
from tests.explorer.test_authentication import age_proofs, code_of, set_up_app, sign_in
from tests.stored_dumps import analysed_dump, keep_original

CONTENT = b"\x7fELF everything the process knew"


@pytest.fixture
def dump(team: Team, bob: User) -> Dump:
    dump = analysed_dump(team, bob)
    keep_original(dump, CONTENT)
    return dump


def with_second_factor(name: str) -> Client:
    client = sign_in(name)
    secret = set_up_app(client)
    cache.clear()
    client.post(reverse("mfa_reauthenticate"), {"code": code_of(secret)})
    return client


def test_two_people_let_the_original_out(dump: Dump, alice: User, erin: User) -> None:
    asker, other = with_second_factor("erin"), with_second_factor("alice")
    take = reverse("dump-original", args=[dump.pk])
    assert asker.post(take, WHY).status_code == 403, "nobody was asked"
    asker.post(reverse("dump-original-ask", args=[dump.pk]), WHY)
    grant = reverse("dump-original-grant", args=[dump.pk, OriginalRequest.objects.get().pk])
    assert asker.post(grant, WHY).status_code == 403, "not by oneself"
    refused = AuditEntry.objects.order_by("sequence").last()
    assert (refused.action, refused.outcome, refused.detail) == ("grant_original", "denied", "to oneself")
    assert asker.post(take, WHY).status_code == 403
    assert WHY["explanation"] in other.get(reverse("dump-access", args=[dump.pk])).content.decode()
    other.post(grant, WHY)
    assert other.post(take, WHY).status_code == 403, "it was granted to who asked"
    answer = asker.post(take, WHY)
    assert b"".join(answer) == CONTENT
    assert answer["Content-Type"] == "application/octet-stream" and answer["Content-Disposition"].startswith("attachment")
    assert "no-store" in answer["Cache-Control"]
    done = AuditEntry.objects.filter(outcome="done", data_class=4).order_by("sequence").values_list("action", flat=True)
    assert list(done) == ["ask_original", "grant_original", "download_original"]
    OriginalRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert asker.post(take, WHY).status_code == 403


def test_what_was_asked_for_long_ago_is_not_granted(dump: Dump, alice: User, erin: User) -> None:
    asker, other = with_second_factor("erin"), with_second_factor("alice")
    asker.post(reverse("dump-original-ask", args=[dump.pk]), WHY)
    OriginalRequest.objects.update(asked_at=timezone.now() - timedelta(days=8))
    grant = reverse("dump-original-grant", args=[dump.pk, OriginalRequest.objects.get().pk])
    assert other.post(grant, WHY).status_code == 404
    assert OriginalRequest.objects.get().granted_by is None


def test_what_was_granted_ends_with_the_role_and_the_factor(dump: Dump, alice: User, erin: User) -> None:
    client, take = with_second_factor("erin"), reverse("dump-original", args=[dump.pk])
    in_an_hour = timezone.now() + timedelta(hours=1)
    OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="x", granted_by=alice, expires_at=in_an_hour)
    age_proofs(client, 6 * 60)
    assert client.post(take, WHY)["Location"].startswith(reverse("mfa_reauthenticate"))
    assert sign_in("alice").post(take, WHY)["Location"].startswith(reverse("mfa_index"))
    Membership.objects.filter(user=erin).update(role=Role.ANALYST)
    assert client.post(take, WHY).status_code == 403


@pytest.fixture
def granted(dump: Dump, alice: User, erin: User) -> Client:
    in_an_hour = timezone.now() + timedelta(hours=1)
    OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="x", granted_by=alice, expires_at=in_an_hour)
    return with_second_factor("erin")


def downloads() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(action="download_original").order_by("sequence")
    return [(row.outcome, Names([row]).detail(row)) for row in rows]


def test_the_file_is_decrypted_as_it_goes_out(dump: Dump, granted: Client) -> None:
    content = random.Random(1).randbytes((3 << 20) + 5)
    keep_original(dump, content)
    answer = granted.post(reverse("dump-original", args=[dump.pk]), WHY)
    pieces = list(answer)
    assert b"".join(pieces) == content and max(map(len, pieces)) == 1 << 20
    assert answer["Content-Length"] == str(len(content))
    assert not list(dump.directory.glob("*plain*")) and downloads() == [("done", "granted by alice")]


def test_a_file_that_was_altered_ends_the_connection_and_is_written_down(dump: Dump, granted: Client) -> None:
    """The length that was promised is never reached: what arrived cannot pass for the whole."""
    keep_original(dump, random.Random(1).randbytes(3 << 20))
    raw = bytearray(dump.original.read_bytes())
    raw[2_500_000] ^= 1
    dump.original.write_bytes(raw)
    answer, arrived = granted.post(reverse("dump-original", args=[dump.pk]), WHY), 0
    with pytest.raises(Damaged):
        for piece in answer:
            arrived += len(piece)
    assert arrived == 2 << 20 < int(answer["Content-Length"])
    assert [outcome for outcome, _ in downloads()] == ["done", "failed"]
    assert "byte 2,097,152" in downloads()[1][1]


def test_a_disk_that_fails_is_written_down_without_paths(dump: Dump, granted: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(original: Original) -> Iterator[bytes]:
        yield b""
        raise OSError(errno.EIO, "Input/output error", str(original.path))

    answer = granted.post(reverse("dump-original", args=[dump.pk]), WHY)
    monkeypatch.setattr(Original, "pieces", fail)
    with pytest.raises(OSError):
        list(answer)
    assert downloads()[1] == ("failed", "The server could not read the file: Input/output error")


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-1], lambda raw: raw[: 1 << 20], lambda raw: raw[:16] + bytes(len(raw) - 16)]
)
def test_a_file_that_was_cut_is_not_begun(dump: Dump, granted: Client, damage: Callable[[bytes], bytes]) -> None:
    keep_original(dump, random.Random(1).randbytes(3 << 20))
    dump.original.write_bytes(damage(dump.original.read_bytes()))
    answer = granted.post(reverse("dump-original", args=[dump.pk]), WHY, follow=True)
    assert "The stored file is not" in answer.content.decode()
    assert [outcome for outcome, _ in downloads()] == ["failed"]


def test_an_original_that_is_gone(dump: Dump, alice: User, erin: User) -> None:
    client = with_second_factor("erin")
    in_an_hour = timezone.now() + timedelta(hours=1)
    OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="x", granted_by=alice, expires_at=in_an_hour)
    dump.original.unlink()
    assert client.post(reverse("dump-original", args=[dump.pk]), WHY).status_code == 404

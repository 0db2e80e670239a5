"""The original file leaves the server when two people agree, each with a second factor just shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from explorer.models import AuditEntry, Dump, Membership, OriginalRequest, Role, Team, User
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


def test_what_was_granted_ends_with_the_role_and_the_factor(dump: Dump, alice: User, erin: User) -> None:
    client, take = with_second_factor("erin"), reverse("dump-original", args=[dump.pk])
    in_an_hour = timezone.now() + timedelta(hours=1)
    OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="x", granted_by=alice, expires_at=in_an_hour)
    age_proofs(client, 6 * 60)
    assert client.post(take, WHY)["Location"].startswith(reverse("mfa_reauthenticate"))
    assert sign_in("alice").post(take, WHY)["Location"].startswith(reverse("mfa_index"))
    Membership.objects.filter(user=erin).update(role=Role.ANALYST)
    assert client.post(take, WHY).status_code == 403


def test_an_original_that_is_gone(dump: Dump, alice: User, erin: User) -> None:
    client = with_second_factor("erin")
    in_an_hour = timezone.now() + timedelta(hours=1)
    OriginalRequest.objects.create(dump=dump, asked_by=erin, explanation="x", granted_by=alice, expires_at=in_an_hour)
    dump.original.unlink()
    assert client.post(reverse("dump-original", args=[dump.pk]), WHY).status_code == 404

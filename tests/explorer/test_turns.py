"""Teams take turns: one that floods the server, or sends a dump that kills its reader, holds up its own work."""

from __future__ import annotations

from collections import Counter

import pytest
from django.utils import timezone

from explorer.models import Analysis, State
from explorer.services import analyses, turns
from tests.explorer.waiting_analyses import again, expire, received
from tests.goals import Goals


@pytest.fixture
def started(monkeypatch) -> list[Analysis]:
    """Analyses in the order in which they were started; each is done at once."""
    order: list[Analysis] = []

    def work(lease: analyses.Lease) -> None:
        order.append(Analysis.objects.select_related("dump__team").get(pk=lease.row_id))
        lease.end(State.DONE)

    monkeypatch.setattr(analyses, "_work", work)
    return order


def test_a_team_that_floods_does_not_hold_up_another(team, other_team, alice, mallory, started: list, goals: Goals) -> None:
    flood = [received(team, alice) for _ in range(30)]
    few = [received(other_team, mallory) for _ in range(10)]
    for _ in (*flood, *few):
        analyses.run_next()
    shares = Counter(one.dump.team_id for one in started[:20])
    goals.count("G4 turns of a team while another floods, of its half", shares[other_team.pk], 10)
    assert shares[other_team.pk] >= 9
    assert [one.pk for one in started if one.dump.team_id == team.pk] == [one.pk for one in flood]
    assert not Analysis.objects.exclude(state=State.DONE).exists()


def test_with_workers_at_work_the_team_with_fewest_comes_first(team, other_team, alice, mallory) -> None:
    for _ in range(4):
        received(team, alice)
    for _ in range(3):
        assert analyses.claim(turns.next_in_turn()) is not None
    late = [received(other_team, mallory) for _ in range(3)]
    for expected in late:
        assert turns.next_in_turn() == expected.pk
        analyses.claim(expected.pk)
    assert turns.next_in_turn() not in {one.pk for one in late}


def test_what_has_lost_its_worker_is_started_by_whoever_comes_next(team, alice, started: list) -> None:
    lost = received(team, alice)
    analyses.claim(lost.pk)
    assert turns.next_in_turn() is None
    expire(lost)
    analyses.run_next()
    assert [one.pk for one in started] == [lost.pk]
    analyses.run_next()
    assert len(started) == 1


def test_what_was_lost_too_often_has_no_turn(team, alice, settings) -> None:
    analysis = received(team, alice)
    Analysis.objects.update(attempts=settings.MAXIMUM_LOSSES, state=State.QUEUED)
    assert turns.next_in_turn() is None
    Analysis.objects.update(crashes=1)
    assert turns.next_in_turn() == analysis.pk


def test_a_poison_dump_is_started_twice_and_costs_others_little(
    team, other_team, alice, mallory, engine, monkeypatch, goals: Goals
) -> None:
    """Throughput in starts: what the engine is asked to do, and for whom."""
    monkeypatch.setattr(analyses, "enqueue", lambda analysis_id: None)
    engine("crash")
    poison = received(team, alice)
    honest = [received(other_team, mallory) for _ in range(20)]
    starts = 0
    while (following := turns.next_in_turn()) is not None:
        engine("crash" if following == poison.pk else "refused")
        analyses.run(following)
        starts += 1
    row = again(poison)
    goals.count("G4 poison dumps put aside after exactly two starts", row.attempts == 2, 1)
    loss = (starts - len(honest)) / starts
    goals.count("G4 throughput that others keep beside a poison dump, percent (at least 90)", round(100 * (1 - loss)), 100)
    assert (row.error_code, row.attempts, row.crashes) == ("quarantined", 2, 2)
    assert loss <= 0.10
    assert {again(one).error_code for one in honest} == {"not_a_dump"}


def test_turns_are_found_quickly(team, other_team, alice, mallory, django_assert_max_num_queries) -> None:
    for who, whose in ((team, alice), (other_team, mallory)):
        one = received(who, whose)
        Analysis.objects.bulk_create(Analysis(dump=one.dump, created_at=timezone.now()) for _ in range(300))
    with django_assert_max_num_queries(4):
        assert turns.next_in_turn() is not None

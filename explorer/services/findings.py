"""Findings in SQL: what lists of dumps show without opening an index."""

from __future__ import annotations

from django.db import transaction

from analysis.index.store import Index
from explorer.models import Dump, Finding
from explorer.pages.findings import finding_cards
from explorer.pages.references import References
from explorer.services.plain_text import plain

_MOST = 100


def findings_of(dump: Dump, index: Index) -> list[Finding]:
    """Rows for the findings of an index, not saved. Titles are structure: threads by id, never by name."""
    cards = finding_cards(index.structure, References(index.structure, dump.pk))[:_MOST]
    return [
        Finding(
            dump=dump,
            number=card.number,
            rule=plain(card.rule, 64),
            severity=Finding.Severity(card.severity),
            confidence=plain(card.confidence, 10),
            title=plain(card.text, 300),
        )
        for card in cards
    ]


def replace_findings(dump: Dump, rows: list[Finding]) -> None:
    """The findings of a dump are those of its newest result."""
    with transaction.atomic():
        Finding.objects.filter(dump=dump).delete()
        Finding.objects.bulk_create(rows)

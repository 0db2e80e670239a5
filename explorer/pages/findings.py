"""Findings as cards: sentences with links, evidence, what to do; and the rules that found nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.index.store import Index
from explorer.pages.names import visible
from explorer.pages.references import Piece, References, plain

_SEVERITY_TONES = {"critical": "bad", "warning": "doubt", "notice": "quiet"}


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """One linked fact."""

    text: str
    piece: Piece


@dataclass(frozen=True, slots=True)
class FindingCard:
    """One finding; ``number`` counts from 1 and is its address."""

    number: int
    rule: str
    severity: str
    tone: str
    confidence: str
    share: int
    title: list[Piece]
    summary: list[Piece]
    evidence: list[EvidenceLine]
    why: str
    what_to_do: list[str]
    false_alarm: str
    url: str
    #: Rows of the types that it names.
    types: list[int]

    @property
    def text(self) -> str:
        """The title as plain text."""
        return plain(self.title)


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule that found nothing, or did not run, with the reason."""

    title: str
    text: str


def finding_cards(index: Index, references: References) -> list[FindingCard]:
    """All findings, the most important first."""
    items: list[dict[str, Any]] = index.facts("findings").get("items", [])
    return [_card(references, number, item) for number, item in enumerate(items, 1)]


def _card(references: References, number: int, item: dict[str, Any]) -> FindingCard:
    return FindingCard(
        number=number,
        rule=str(item["rule"]),
        severity=str(item["severity"]),
        tone=_SEVERITY_TONES.get(item["severity"], "quiet"),
        confidence=str(item["confidence"]),
        share=round(100 * float(item["impact"])),
        title=references.sentence(item["title"]),
        summary=references.sentence(item["summary"]),
        evidence=[
            EvidenceLine(visible(str(line["text"])), references.piece(line["ref"], line["row"])) for line in item["evidence"]
        ],
        why=visible(str(item["why"]), 2000),
        what_to_do=[visible(str(step), 2000) for step in item["what_to_do"]],
        false_alarm=visible(str(item["false_alarm"]), 2000),
        url=references.url("dump-finding", number),
        types=sorted(
            {piece["row"] for piece in (*item["title"], *item["summary"], *item["evidence"]) if piece.get("ref") == "type"}
        ),
    )


def rule_lines(index: Index, part: str) -> list[RuleLine]:
    """Rules that ``passed`` or were ``not_run``."""
    return [
        RuleLine(visible(str(line["title"])), visible(str(line["text"]), 1000)) for line in index.facts("findings").get(part, [])
    ]


def verdict(cards: list[FindingCard], index: Index) -> list[Piece]:
    """The first sentence of the overview: the worst finding, or that there is none and what was looked at."""
    if cards:
        rest = len(cards) - 1
        more = f" {rest} more {'finding' if rest == 1 else 'findings'} below." if rest else ""
        return [*cards[0].title, Piece(f".{more}")]
    passed = len(index.facts("findings").get("passed", []))
    if not passed:
        return []
    return [Piece(f"None of the {passed} rules found anything wrong with this process.")]

"""The document of findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.insight.findings import Diagnosis, Finding, Rule, Sentence


def build_findings(diagnosis: Diagnosis) -> dict[str, Any]:
    """facts/findings.json, the most important finding first."""
    return {
        "items": [_finding(rule, finding) for rule, finding in diagnosis.found],
        "passed": _rules(diagnosis.passed),
        "not_run": _rules(diagnosis.not_run),
    }


def _finding(rule: Rule, finding: Finding) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "version": rule.version,
        "severity": finding.severity.word,
        "confidence": finding.confidence.word,
        "impact": round(finding.impact, 4),
        "title": _sentence(finding.title),
        "summary": _sentence(finding.summary),
        "evidence": [
            {"text": one.text, "ref": one.reference.table, "row": one.reference.row} for one in finding.evidence
        ],
        "why": rule.why,
        "what_to_do": list(rule.what_to_do),
        "false_alarm": rule.false_alarm,
    }  # fmt: skip


def _sentence(sentence: Sentence) -> list[dict[str, Any]]:
    return [{"text": piece} if isinstance(piece, str) else {"ref": piece.table, "row": piece.row} for piece in sentence]


def _rules(rules: Sequence[tuple[Rule, str]]) -> list[dict[str, str]]:
    return [{"rule": rule.name, "title": rule.title, "text": words} for rule, words in rules]

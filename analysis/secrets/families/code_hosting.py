"""Tokens of code hosting, build servers and package registries."""

from __future__ import annotations

import re

from analysis.secrets.checks import checksum_fits
from analysis.secrets.kinds import Certainty, Kind

_FAMILY = "code hosting"


def _with_checksum(found: re.Match[str]) -> Certainty | None:
    """Tokens without a fitting checksum are old, cut or made up: they still look like nothing else."""
    return Certainty.CERTAIN if checksum_fits(found[0], found["body"]) else Certainty.LIKELY


CODE_HOSTING = (
    Kind(
        "GitHub token",
        _FAMILY,
        r"(?<![A-Za-z0-9])gh[pousr]_(?P<body>[A-Za-z0-9]{36})(?![A-Za-z0-9])",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        check=_with_checksum,
    ),
    Kind(
        "GitHub fine-grained token",
        _FAMILY,
        r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}(?![A-Za-z0-9])",
        ("github_pat_",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "GitLab token",
        _FAMILY,
        r"(?<![A-Za-z0-9])gl(?:pat|dt|rt|cbt|ptt|ft|oas|soat)-[A-Za-z0-9_.-]{20,300}",
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "gloas-", "glsoat-"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Atlassian token",
        _FAMILY,
        r"(?<![A-Za-z0-9])(?:ATATT3|ATBB|ATCTT3)[A-Za-z0-9_=-]{24,250}",
        ("atatt3", "atbb", "atctt3"),
        certainty=Certainty.CERTAIN,
    ),
    Kind("npm token", _FAMILY, r"(?<![A-Za-z0-9])npm_(?P<body>[A-Za-z0-9]{36})(?![A-Za-z0-9])", ("npm_",), check=_with_checksum),
    Kind("PyPI token", _FAMILY, r"pypi-AgE[A-Za-z0-9_-]{50,300}", ("pypi-age",), certainty=Certainty.CERTAIN),
    Kind("NuGet key", _FAMILY, r"(?<![A-Za-z0-9])oy2[a-z0-9]{43}(?![A-Za-z0-9])", ("oy2",), certainty=Certainty.CERTAIN),
    Kind(
        "Docker Hub token",
        _FAMILY,
        r"(?<![A-Za-z0-9])dckr_[op]at_[A-Za-z0-9_-]{27,60}",
        ("dckr_pat_", "dckr_oat_"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "RubyGems key",
        _FAMILY,
        r"(?<![A-Za-z0-9])rubygems_[0-9a-f]{48}(?![A-Za-z0-9])",
        ("rubygems_",),
        certainty=Certainty.CERTAIN,
    ),
)

"""Keys of cloud providers and of services in the cloud. Forms as the providers document them."""

from __future__ import annotations

import re

from analysis.kernels.secrets import KEY_40
from analysis.secrets.checks import class_changes, entropy, is_random
from analysis.secrets.kinds import Certainty, Kind
from analysis.secrets.surroundings import UP_TO_VALUE

_FAMILY = "cloud"
_CHANGES_OF_RANDOM_KEY = 14


def _aws_secret(found: re.Match[str]) -> Certainty | None:
    return Certainty.CERTAIN if entropy(found["value"]) > 3.5 else None


def _lone_key(found: re.Match[str]) -> Certainty | None:
    """Forty characters of base64 that nothing introduces: paths, names and hexadecimal digests look much more orderly."""
    key = found[0]
    random = is_random(key, 4.2) and class_changes(key) >= _CHANGES_OF_RANDOM_KEY
    mixed = any(one.isupper() for one in key) and any(one.islower() for one in key)
    marked = sum(not one.isalpha() for one in key)
    return Certainty.POSSIBLE if random and mixed and marked > 2 else None


def _shared_access_signature(found: re.Match[str]) -> Certainty | None:
    around = found.string[max(0, found.start() - 512) : found.end() + 512]
    return Certainty.CERTAIN if re.search(r"[?&;](?:amp;)?s[evr]=", "&" + around) else None


CLOUD = (
    Kind(
        "AWS access key id",
        _FAMILY,
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])",
        ("akia", "asia", "abia", "acca"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "AWS secret access key",
        _FAMILY,
        rf"(?i:secret_?(?:access)?_?key){UP_TO_VALUE}(?P<value>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])",
        ("secretkey", "secret_key", "secretaccesskey", "secret_access_key"),
        check=_aws_secret,
    ),
    Kind(
        "AWS secret access key",
        _FAMILY,
        r"(?<![A-Za-z0-9/+=_.-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_-]|\.\w)",
        shape=KEY_40,
        check=_lone_key,
        generic=True,
    ),
    Kind(
        "AWS session token",
        _FAMILY,
        r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[A-Za-z0-9/+=]{80,4000}",
        ("iqojb3jpz2lu", "fwogzxivyxdz"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Google API key",
        _FAMILY,
        r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
        ("aiza",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Google OAuth access token",
        _FAMILY,
        r"(?<![A-Za-z0-9])ya29\.[A-Za-z0-9_-]{20,2000}",
        ("ya29.",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Google OAuth client secret",
        _FAMILY,
        r"GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])",
        ("gocspx-",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Azure storage account key",
        _FAMILY,
        r"(?i:AccountKey)(?:=|%3D|\W{1,6})(?P<value>[A-Za-z0-9+/]{20,120}(?:={0,2}|(?:%3D){0,2}))(?![A-Za-z0-9+/])",
        ("accountkey",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Azure shared access key",
        _FAMILY,
        r"(?i:SharedAccessKey)(?:=|%3D|\W{1,6})[A-Za-z0-9+/]{20,120}(?:={0,2}|(?:%3D){0,2})",
        ("sharedaccesskey",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Azure shared access signature",
        _FAMILY,
        r"(?<=[?&;])sig=(?:[A-Za-z0-9+/_-]|%2[BbFf]){40,90}(?:(?:%3[Dd]){0,2}|={0,2})(?![A-Za-z0-9+/])",
        ("sig=",),
        check=_shared_access_signature,
    ),
    Kind(
        "Azure client secret",
        _FAMILY,
        r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~-])",
        tuple(f"{digit}q~" for digit in range(10)),
        before=3,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Azure DevOps access token",
        _FAMILY,
        r"(?<![A-Za-z0-9])[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])",
        ("azdo",),
        before=76,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Azure App Configuration secret",
        _FAMILY,
        r"azconfig\.io\W{1,6}Id=[^;\s]{4,60};Secret=[A-Za-z0-9+/=]{30,120}",
        ("azconfig.io",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "DigitalOcean token",
        _FAMILY,
        r"(?<![A-Za-z0-9])do[opr]_v1_[0-9a-f]{64}(?![A-Za-z0-9])",
        ("dop_v1_", "doo_v1_", "dor_v1_"),
        certainty=Certainty.CERTAIN,
    ),
    Kind("Alibaba Cloud access key id", _FAMILY, r"(?<![A-Za-z0-9])LTAI[A-Za-z0-9]{12,24}(?![A-Za-z0-9])", ("ltai",)),
    Kind(
        "HashiCorp Vault token",
        _FAMILY,
        r"(?<![A-Za-z0-9])hv[sbr]\.[A-Za-z0-9_-]{24,300}",
        ("hvs.", "hvb.", "hvr."),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Terraform Cloud token",
        _FAMILY,
        r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,80}",
        (".atlasv1.",),
        before=14,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Databricks token",
        _FAMILY,
        r"(?<![A-Za-z0-9])dapi[0-9a-f]{32}(?:-\d)?(?![A-Za-z0-9])",
        ("dapi",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Grafana token",
        _FAMILY,
        r"(?<![A-Za-z0-9])(?:glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|glc_[A-Za-z0-9+/=]{32,400})(?![A-Za-z0-9])",
        ("glsa_", "glc_"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "New Relic key",
        _FAMILY,
        r"(?<![A-Za-z0-9])NRA[KL]-[A-Z0-9]{27}(?![A-Za-z0-9])",
        ("nrak-", "nral-"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Sentry key",
        _FAMILY,
        r"https://[0-9a-f]{32}(?::[0-9a-f]{32})?@[a-z0-9.-]{1,100}/\d{1,20}|sntry[su]_[A-Za-z0-9+/=_]{40,400}",
        (".ingest.", "@sentry", "sntrys_", "sntryu_"),
        before=160,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "OpenAI key",
        _FAMILY,
        r"(?<![A-Za-z0-9])sk-(?:[a-z]{2,8}-)?[A-Za-z0-9_-]{16,120}T3BlbkFJ[A-Za-z0-9_-]{16,120}",
        ("t3blbkfj",),
        before=132,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Anthropic key",
        _FAMILY,
        r"(?<![A-Za-z0-9])sk-ant-[A-Za-z0-9]{2,8}-[A-Za-z0-9_-]{60,120}",
        ("sk-ant-",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Hugging Face token", _FAMILY, r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])", ("hf_",), certainty=Certainty.CERTAIN
    ),
)

"""Every kind of secret that is looked for, one file per family."""

from __future__ import annotations

from analysis.secrets.families.cloud import CLOUD
from analysis.secrets.families.code_hosting import CODE_HOSTING
from analysis.secrets.families.databases import DATABASES
from analysis.secrets.families.keys import KEYS
from analysis.secrets.families.messaging import MESSAGING
from analysis.secrets.families.payments import PAYMENTS
from analysis.secrets.families.people import PEOPLE
from analysis.secrets.families.settings import SETTINGS
from analysis.secrets.families.web import WEB
from analysis.secrets.kinds import Kind

ALL_KINDS: tuple[Kind, ...] = (
    *CLOUD,
    *CODE_HOSTING,
    *MESSAGING,
    *PAYMENTS,
    *KEYS,
    *DATABASES,
    *WEB,
    *SETTINGS,
    *PEOPLE,
)

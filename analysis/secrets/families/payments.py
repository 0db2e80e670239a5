"""Keys of payment and shop services, and numbers of cards and accounts."""

from __future__ import annotations

import re

from analysis.kernels.secrets import CARD, IBAN
from analysis.secrets.checks import bank_account
from analysis.secrets.kinds import Certainty, Kind

_FAMILY = "payment"
#: Visa 4, Mastercard 51-55 and 2221-2720, American Express 34 and 37, Discover 6011 and 65, Diners 36 and 38, JCB 35,
#: UnionPay 62.
_ISSUER = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7]|6[0245]|35|81)\d{14}|3[47]\d{13}|3[0689]\d{12}|62\d{14,17}|(?:5[06-8]|6\d)\d{14}"
)


def _card(found: re.Match[str]) -> Certainty | None:
    """The kernel has seen to the check digit; a number of one digit repeated fits it too."""
    digits = re.sub(r"\D", "", found[0])
    if not _ISSUER.fullmatch(digits) or len(set(digits)) < 2:
        return None
    return Certainty.LIKELY if len(digits) != len(found[0]) or len(digits) in (15, 16) else Certainty.POSSIBLE


PAYMENTS = (
    Kind(
        "Stripe key",
        _FAMILY,
        r"(?<![A-Za-z0-9])[sr]k_(?:live|test)_[A-Za-z0-9]{16,120}(?![A-Za-z0-9])",
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Stripe webhook secret",
        _FAMILY,
        r"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/=]{24,100}",
        ("whsec_",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Square token",
        _FAMILY,
        r"(?<![A-Za-z0-9])(?:sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,50}|EAAA[A-Za-z0-9_-]{60})"
        r"(?![A-Za-z0-9_-])",
        ("sq0atp-", "sq0csp-", "sq0idp-", "eaaa"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Braintree access token",
        _FAMILY,
        r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}",
        ("access_token$",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Shopify token",
        _FAMILY,
        r"(?<![A-Za-z0-9])shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}(?![A-Za-z0-9])",
        ("shpat_", "shpss_", "shpca_", "shppa_"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "payment card number",
        _FAMILY,
        r"(?<![\w.,+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5})"
        r"(?![\w-]|[.,]\d)",
        shape=CARD,
        check=_card,
    ),
    Kind(
        "bank account (IBAN)",
        _FAMILY,
        r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)",
        shape=IBAN,
        before=2,
        check=bank_account,
    ),
)

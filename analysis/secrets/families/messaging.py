"""Tokens and addresses of chat and mail services: whoever knows them can write as the program."""

from __future__ import annotations

from analysis.secrets.kinds import Certainty, Kind

_FAMILY = "messaging"

MESSAGING = (
    Kind(
        "Slack token",
        _FAMILY,
        r"(?<![A-Za-z0-9])xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{20,300}",
        tuple(f"xox{one}" for one in "abeoprs"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Slack app token",
        _FAMILY,
        r"(?<![A-Za-z0-9])xapp-\d-[A-Z0-9]{8,20}-\d{8,20}-[a-f0-9]{32,128}",
        ("xapp-",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Slack webhook",
        _FAMILY,
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{30,120}",
        ("hooks.slack.com/",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Discord webhook",
        _FAMILY,
        r"discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{15,22}/[A-Za-z0-9_-]{50,90}",
        ("discord.com/api/", "discordapp.com/api/"),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Teams webhook",
        _FAMILY,
        r"\.webhook\.office\.com/webhookb2/[A-Za-z0-9@-]{36,90}/IncomingWebhook/[0-9a-f]{32}(?:/[A-Za-z0-9_-]{1,80}){0,2}",
        (".webhook.office.com/",),
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Telegram bot token",
        _FAMILY,
        r"(?<!\d)\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])",
        (":aa",),
        before=10,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "SendGrid key",
        _FAMILY,
        r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
        ("sg.",),
        certainty=Certainty.CERTAIN,
    ),
    Kind("Mailgun key", _FAMILY, r"(?<![A-Za-z0-9])key-[0-9a-f]{32}(?![A-Za-z0-9])", ("key-",)),
    Kind(
        "Mailchimp key",
        _FAMILY,
        r"(?<![A-Za-z0-9])[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])",
        tuple(f"-us{digit}" for digit in range(1, 10)),
        before=32,
        certainty=Certainty.CERTAIN,
    ),
    Kind(
        "Brevo key", _FAMILY, r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}(?![A-Za-z0-9])", ("xkeysib-",), certainty=Certainty.CERTAIN
    ),
)

"""Team leads hear by mail of acts that reach far: who did what with which dump, never a value. The row of the audit comes
first; a mail that cannot be sent keeps nobody from anything, and the log says so."""

from __future__ import annotations

from functools import partial

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q

from explorer.models import AuditEntry, Role, Team, User
from explorer.services.audit_names import Names
from explorer.services.bell import ring

log = structlog.get_logger()
_Action = AuditEntry.Action
_TOLD = frozenset({
    _Action.BREAK_GLASS, _Action.GRANT_GLASS, _Action.VIEW_HEX, _Action.ASK_ORIGINAL, _Action.GRANT_ORIGINAL,
    _Action.DOWNLOAD_ORIGINAL, _Action.SHARE, _Action.HOLD_DUMP, _Action.CHANGE_ROLE,
})  # fmt: skip


def announce(row: AuditEntry) -> None:
    """Have the leads told of an act that was done, once its row is there to stay."""
    if row.action in _TOLD and row.outcome == AuditEntry.Outcome.DONE:
        tell_of(row)


def tell_of(row: AuditEntry) -> None:
    """The same of an act that is not told of as a rule: somebody may look at no more values for now, nobody used a role."""
    if settings.MAIL_IS_SET_UP and row.team_key:
        transaction.on_commit(partial(_queue, row.sequence))


def _queue(sequence: int) -> None:
    from explorer.tasks import tell_leads  # tasks import services

    ring(tell_leads, sequence)


def tell_leads(sequence: int) -> None:
    """Mail the leads of the team that a row of the audit names, but for the one who acted; and who lost a role themselves."""
    row = AuditEntry.objects.get(sequence=sequence)
    if row.team_key is None:
        return
    told = Q(memberships__team_id=row.team_key, memberships__role=Role.LEAD)
    if row.action == _Action.DROP_ROLE:
        told |= Q(pk__in=[person for person, _ in row.people])
    people = User.objects.filter(told, is_active=True).exclude(pk=row.actor_id or 0).exclude(email="")
    addresses = people.distinct().values_list("email", flat=True)
    who = " ".join(Names([row]).actor(row).split()) or "Somebody without an account"
    denied = " (denied)" if row.outcome == AuditEntry.Outcome.DENIED else ""
    on = f" – {' '.join(row.dump_name.split())}" if row.dump_name else ""
    said = f"{who} {row.get_action_display()}{on}{denied}"
    if row.action == _Action.DROP_ROLE:
        said = f"{said} – {Names([row]).detail(row)}, team {Team.objects.get(pk=row.team_key)}"
    body = f"{said}\n\n{row.at:%Y-%m-%d %H:%M} UTC, row {row.sequence} of the audit.\n{settings.PUBLIC_URL}\n"
    for address in addresses:
        try:
            send_mail(f"Dump Explorer: {said}"[:150], body, None, [address])
        except OSError as error:
            log.warning("notice_not_sent", row=sequence, error=type(error).__name__)

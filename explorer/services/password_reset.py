"""A new password by a link in a mail, for people who have forgotten theirs.

Who asks learns nothing: the answer is the same, and as quick, whoever was named, because looking for a mailbox and writing to it
is the work of a task. A link says who somebody is as far as a password does: a second factor is asked for as ever.
"""

from __future__ import annotations

import structlog
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from allauth.core.internal import ratelimit
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from explorer.models import AuditEntry, User
from explorer.services.audit import on_behalf_of, write_down
from explorer.services.bell import ring

log = structlog.get_logger()
_NOBODY = 0


def is_possible() -> bool:
    """Mail can be sent, and the address that people use is known: a link never names the host that a request came to."""
    return settings.MAIL_IS_SET_UP and bool(settings.PUBLIC_URL)


def may_choose_anew(user: User | None) -> bool:
    """Whether somebody comes in with a password at all; who signs in with a provider alone gets none this way."""
    return user is not None and user.is_active and user.has_usable_password()


def ask(*, request: HttpRequest, name_or_address: str) -> None:
    """Have a link mailed to the person of that name or confirmed address, where there is one; a few times in an hour."""
    person_id = _person_called(name_or_address)
    rate = {"app": "allauth.account", "action": "reset_password_mail", "key": f"person {person_id}"}
    within = ratelimit.consume(request, **rate)
    _queue(person_id if within else _NOBODY)


def _queue(person_id: int) -> None:
    from explorer.tasks import mail_password_link  # tasks import services

    ring(mail_password_link, person_id)


def mail_link(person_id: int) -> None:
    """Write to somebody's confirmed address, where they have one; nobody else's."""
    user = User.objects.filter(pk=person_id).first()
    address = EmailAddress.objects.filter(user_id=person_id, verified=True).order_by("-primary").first()
    if user is None or address is None or not may_choose_anew(user) or not is_possible():
        return
    key = default_token_generator.make_token(user)
    page = reverse("account_reset_password_from_key", kwargs={"uidb36": user_pk_to_url_str(user), "key": key})
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    body = (
        f"Somebody asked for a new password for {user}. If it was you, choose it here:\n\n"
        f"{settings.PUBLIC_URL.rstrip('/')}{page}\n\n"
        f"The link works once, for {minutes} minutes. If it was not you, nothing has changed and there is nothing to do.\n"
    )
    try:
        send_mail("Dump Explorer: choose a new password", body, None, [address.email])
    except OSError as error:
        log.warning("password_link_not_sent", error=type(error).__name__)


def choose(*, request: HttpRequest, user: User, password: str) -> None:
    """Set the password that somebody with a link chose. Every session of theirs ends with the old one."""
    acting = on_behalf_of(user)
    acting.META = request.META
    with transaction.atomic():
        write_down(acting, AuditEntry.Action.RESET_PASSWORD)
        user.set_password(password)
        user.must_change_password = False
        user.save(update_fields=["password", "must_change_password"])


def _person_called(name_or_address: str) -> int:
    by_name = User.objects.filter(username=name_or_address).values_list("pk", flat=True).first()
    addresses = EmailAddress.objects.filter(email=name_or_address.lower(), verified=True)
    return by_name or addresses.values_list("user_id", flat=True).first() or _NOBODY

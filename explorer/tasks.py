"""Celery tasks: ids in, one call, a service does the work."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from explorer.services import (
    analyses,
    audit,
    keeping,
    leftovers,
    notices,
    password_reset,
    plain_dumps,
    quotas,
    scrubbed,
    search_rows,
    trash,
    unused_roles,
    uploads,
)  # fmt: skip


@shared_task
def analyse(analysis_id: str) -> None:
    """Somebody's turn has come; whose, the database says. The id is that of the analysis that rang."""
    analyses.run_next()


@shared_task
def scrub(dump_id: str) -> None:
    scrubbed.run(UUID(dump_id))


@shared_task
def reap() -> None:
    analyses.reap()
    scrubbed.reap()


@shared_task
def expire_uploads() -> None:
    uploads.expire_uploads()


@shared_task
def anchor_audit() -> None:
    audit.drop_anchor()


@shared_task
def sweep_leftovers() -> None:
    leftovers.sweep()
    leftovers.settle_database()
    quotas.measure_all()


@shared_task
def lock_away() -> None:
    """Keys and plain copies whose time is over; often, because whoever deletes a dump trusts that it is gone."""
    leftovers.destroy_keys()
    plain_dumps.sweep()


@shared_task
def keep_or_remove() -> None:
    """What the days of teams have come to."""
    keeping.enforce()


@shared_task
def expire_trash() -> None:
    """What the days of the trash have come to."""
    trash.expire()


@shared_task
def tell_leads(sequence: int) -> None:
    notices.tell_leads(sequence)


@shared_task
def mail_password_link(person_id: int) -> None:
    password_reset.mail_link(person_id)


@shared_task
def drop_unused_roles() -> None:
    unused_roles.drop()


@shared_task
def catch_up_search() -> None:
    search_rows.catch_up()

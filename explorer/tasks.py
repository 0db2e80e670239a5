"""Celery tasks: ids in, one call, a service does the work."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from explorer.services import analyses, audit, uploads


@shared_task
def analyse(analysis_id: str) -> None:
    analyses.run(UUID(analysis_id))


@shared_task
def reap() -> None:
    analyses.reap()


@shared_task
def expire_uploads() -> None:
    uploads.expire_uploads()


@shared_task
def anchor_audit() -> None:
    audit.drop_anchor()

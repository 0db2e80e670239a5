"""The Celery app. Messages carry ids only; what is to be done stands in the database."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "explorer.settings")
app = Celery("explorer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    # Early acknowledgement: the lease in the Analysis row brings work back, not the broker (docs/architecture.md).
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    task_default_queue="analysis",
    task_routes={"explorer.tasks.reap": {"queue": "maintenance"}, "explorer.tasks.expire_uploads": {"queue": "maintenance"}},
    beat_schedule={
        "reap": {"task": "explorer.tasks.reap", "schedule": 10.0},
        "expire-uploads": {"task": "explorer.tasks.expire_uploads", "schedule": 900.0},
    },
)
app.autodiscover_tasks(["explorer"])

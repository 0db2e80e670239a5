"""The Celery app. Messages carry ids only; what is to be done stands in the database."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, worker_process_init
from django.conf import settings

from explorer.child_processes import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "explorer.settings")
_MAINTENANCE = ("reap", "expire_uploads", "anchor_audit", "sweep_leftovers", "lock_away", "keep_or_remove", "catch_up_search")
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
    task_routes={f"explorer.tasks.{name}": {"queue": "maintenance"} for name in _MAINTENANCE},
    beat_schedule={
        "reap": {"task": "explorer.tasks.reap", "schedule": settings.LEASE_SECONDS / 4},
        "expire-uploads": {"task": "explorer.tasks.expire_uploads", "schedule": 900.0},
        "sweep-leftovers": {"task": "explorer.tasks.sweep_leftovers", "schedule": 900.0},
        "lock-away": {"task": "explorer.tasks.lock_away", "schedule": 30.0},
        "keep-or-remove": {"task": "explorer.tasks.keep_or_remove", "schedule": 900.0},
        "anchor-audit": {"task": "explorer.tasks.anchor_audit", "schedule": 300.0},
        "catch-up-search": {"task": "explorer.tasks.catch_up_search", "schedule": 60.0},
    },
)
app.autodiscover_tasks(["explorer"])


@beat_embedded_init.connect
@worker_process_init.connect
def _end_with_worker(**_: Any) -> None:
    """A process of the pool, or the clock, whose worker died before it could end them would wait for ever."""
    end_with_parent(signal.SIGKILL)
    if os.getppid() == 1:  # it died before this line
        os._exit(0)

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
#: What takes long; everything else is done by a worker of its own and waits behind none of these.
_LONG = ("analyse", "scrub", "catch_up_search")
#: What the clock asks for, and how often in seconds.
_CLOCK = {
    "reap": settings.LEASE_SECONDS / 4, "expire_uploads": 900.0, "sweep_leftovers": 900.0, "lock_away": 30.0,
    "keep_or_remove": 900.0, "expire_trash": 900.0, "drop_unused_roles": 3600.0, "anchor_audit": 300.0, "catch_up_search": 60.0,
}  # fmt: skip
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
    task_default_queue="maintenance",
    task_routes={f"explorer.tasks.{name}": {"queue": "analysis"} for name in _LONG},
    # What was not done before it is asked for again need not be done twice.
    beat_schedule={
        name: {"task": f"explorer.tasks.{name}", "schedule": seconds, "options": {"expires": seconds}}
        for name, seconds in _CLOCK.items()
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

"""Messages to workers: doorbells that carry an id. Without a broker nothing is lost: the database says what is to be done."""

from __future__ import annotations

from typing import Any, Protocol

import structlog
from kombu.exceptions import ChannelError, KombuError

log = structlog.get_logger()


class Task(Protocol):
    """What Celery makes of a function."""

    name: str

    def delay(self, argument: Any, /) -> Any: ...


def ring(task: Task, argument: str | int) -> None:
    """Ring once; a broker that is away is in the log."""
    try:
        task.delay(argument)
    except (KombuError, ChannelError, OSError) as error:
        log.warning("broker_unreachable", task=task.name, argument=argument, error=type(error).__name__)

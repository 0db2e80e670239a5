"""The one Django app of the project."""

from django.apps import AppConfig


class ExplorerConfig(AppConfig):
    name = "explorer"
    verbose_name = "Dump Explorer"

    def ready(self) -> None:
        from explorer import checks  # noqa: F401  (registers the system checks)
        from explorer.child_processes import leave_no_core_dump
        from explorer.services import removal  # noqa: F401  (guards what is deleted)

        leave_no_core_dump()

"""The web application: a Django project and its only app. Imports the engine's index, never its reader."""

from explorer.celery import app as celery_app

__all__ = ["celery_app"]

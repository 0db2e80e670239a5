"""Views: fetch, validate, act, respond. One file per area, each with its own ``urlpatterns``."""

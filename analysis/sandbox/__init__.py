"""The walls that the engine puts round itself before it opens a file that somebody sent: ``confine``."""

from analysis.sandbox.confine import Wall, confine

__all__ = ["Wall", "confine"]

"""Paths keep their last name, and the framework's own directory before it; directories become slashes of the same length, so
that nothing moves."""

from __future__ import annotations

import re

_FRAMEWORK = re.compile(r"/shared/Microsoft\.(?:NETCore|AspNetCore|WindowsDesktop)\.App/\d+\.\d+\.\d+[^/]{0,32}/[^/]*$")


def kept_from(path: str) -> int:
    """Place in ``path`` of the first letter that is kept."""
    framework = _FRAMEWORK.search(path)
    return framework.start() if framework else max(path.rfind("/"), path.rfind("\\")) + 1

"""The one way for fields to leave: a document, an index or a table without what is above the class somebody may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.index.columns import DataClass


class Unclassified(ValueError):
    """A field that has no data class: it counts as D4 and leaves nowhere. The schema of what is written must name it."""


class AboveClass(LookupError):
    """A field that is asked for in the name of somebody who may not see it: the program should not have asked."""


def project(document: Mapping[str, Any], classes: Mapping[str, DataClass], highest: DataClass) -> dict[str, Any]:
    """``document`` without its fields above ``highest``: they are gone, not empty.

    ``classes`` names fields by dotted paths, those of the items of a list by the path of the list. Raises Unclassified.
    """
    return _without(document, classes, highest, "")


def _without(document: Mapping[str, Any], classes: Mapping[str, DataClass], highest: DataClass, prefix: str) -> dict[str, Any]:
    kept = {}
    for key, value in document.items():
        path = f"{prefix}{key}"
        if path in classes:
            if classes[path] <= highest:
                kept[key] = value
        elif isinstance(value, Mapping):
            kept[key] = _without(value, classes, highest, f"{path}.")
        elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            kept[key] = [_without(item, classes, highest, f"{path}.") for item in value]
        elif value is None and any(known.startswith(f"{path}.") for known in classes):
            kept[key] = None  # a part that is absent as a whole says nothing
        else:
            raise Unclassified(f"{path} has no data class")
    return kept

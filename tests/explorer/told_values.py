"""What a dump says of its values, told at once: in place of the child that opens the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from explorer.services import reveals


def held(name: str, text: str, type_name: str = "System.String", missing: str = "") -> dict[str, object]:
    """A field of an object, as the engine tells it."""
    return {"name": name, "type_name": type_name, "text": text, "object": 0, "missing": missing}


def tell_at_once(monkeypatch: pytest.MonkeyPatch, told: Mapping[str, object]) -> None:
    """``told``: what each reader of ``explorer.services.engine`` writes down, by its name."""
    for name, found in told.items():

        def read(*arguments: Any, found: object = found, **_: Any) -> None:
            result = next(one for one in arguments if isinstance(one, Path) and one.name == "values.json")
            result.write_text(json.dumps(found))

        monkeypatch.setattr(reveals, name, read)

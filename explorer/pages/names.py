"""Names out of a dump are text that somebody else wrote: made visible, cut, and split for display.

A name may hold markup, line breaks, NULs, overrides of the writing direction or a megabyte of letters. Templates
escape it; this module makes what cannot be seen visible and keeps it short. No function here returns HTML.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

#: The longest name that leaves the server, in characters (docs/security.md: structure names are capped at 1 KiB).
LONGEST_NAME = 1024
#: The longest name that a table cell shows; the whole is in its hover text and its copy button.
LONGEST_CELL = 74
_COMBINING_RUN = 3
_ELLIPSIS = "…"

#: A dotted prefix inside a type name, wherever it stands: before the type itself and before each generic argument.
_NAMESPACE = re.compile(r"(?:[^\W\d][\w$@]*\.)+")


def visible(text: str, longest: int = LONGEST_NAME) -> str:
    """``text`` with control, direction and other invisible characters made visible, cut to ``longest`` characters."""
    cut = len(text) > longest
    if cut:
        text = text[: longest - 1]
    if not (text.isascii() and text.isprintable()):
        text = "".join(_visible_characters(text))[: longest - 1 if cut else longest]
    return text + _ELLIPSIS if cut else text


def _visible_characters(text: str) -> list[str]:
    shown, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category[0] == "C" or category in ("Zl", "Zp") or marks > _COMBINING_RUN:
            shown.append(f"⟨U+{ord(character):04X}⟩")
        else:
            shown.append(character)
    return shown


def shortened(text: str, longest: int = LONGEST_CELL) -> str:
    """Cut in the middle: both ends of a type name say more than its middle."""
    if len(text) <= longest:
        return text
    head = (longest - 1) * 3 // 5
    return text[:head] + _ELLIPSIS + text[len(text) - (longest - 1 - head) :]


@dataclass(frozen=True, slots=True)
class NamePart:
    """A piece of a type name; ``quiet`` pieces (namespaces) are drawn in grey."""

    text: str
    quiet: bool


def name_parts(shown: str) -> list[NamePart]:
    """Split a shown type name into namespaces and the rest."""
    parts, end = [], 0
    for match in _NAMESPACE.finditer(shown):
        if match.start() > end:
            parts.append(NamePart(shown[end : match.start()], quiet=False))
        parts.append(NamePart(match.group(), quiet=True))
        end = match.end()
    if end < len(shown):
        parts.append(NamePart(shown[end:], quiet=False))
    return parts


def split_parts(parts: list[NamePart], at: int) -> tuple[list[NamePart], list[NamePart]]:
    """The parts before and after a character position, cutting the part that spans it."""
    head, tail, end = [], [], 0
    for part in parts:
        cut = max(0, min(len(part.text), at - end))
        end += len(part.text)
        if cut:
            head.append(NamePart(part.text[:cut], part.quiet))
        if cut < len(part.text):
            tail.append(NamePart(part.text[cut:], part.quiet))
    return head, tail


def namespace_of(name: str) -> str:
    """The namespace of a type name: the part before the last point that stands before generics, arrays and nesting."""
    end = len(name)
    for mark in "<[+":
        # Compiler-made names begin with "<"; that one opens no generic arguments.
        found = name.find(mark, 1, end)
        if found > 0:
            end = found
    point = name.rfind(".", 0, end)
    return name[:point] if point > 0 else ""

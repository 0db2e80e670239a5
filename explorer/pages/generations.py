"""The generations of the heap in the words of pages."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.index.schema import GENERATIONS


@dataclass(frozen=True, slots=True)
class Generation:
    """One of ``GENERATIONS``: its place in the columns, its name in the index, in URLs and on pages."""

    number: int
    name: str
    slug: str
    label: str
    about: str


_WORDS = {
    "Generation0": ("gen0", "Gen 0", "newest objects, collected most often"),
    "Generation1": ("gen1", "Gen 1", "objects that survived one collection"),
    "Generation2": ("gen2", "Gen 2", "long-lived objects"),
    "Large": ("loh", "LOH", "large object heap: objects of 85,000 bytes and more"),
    "Pinned": ("poh", "POH", "pinned object heap: objects that never move"),
    "Frozen": ("frozen", "Frozen", "frozen (NonGC) heap: literals and type objects that are never collected"),
}

GENERATION_LIST = tuple(Generation(number, name, *_WORDS[name]) for number, name in enumerate(GENERATIONS))
BY_NAME = {generation.name: generation for generation in GENERATION_LIST}
BY_SLUG = {generation.slug: generation for generation in GENERATION_LIST}


def label(name: str) -> str:
    """The label of a generation or segment kind; a kind without one (``Ephemeral``) is its own label."""
    return BY_NAME[name].label if name in BY_NAME else name

"""What stands beside the query: examples that run on every dump."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A query and the question it answers."""

    question: str
    text: str


EXAMPLES = (
    Example("Which types take most?", "dumpheap -stat"),
    Example("Which large objects are dead?", "dumpheap -dead -min 85000"),
    Example("What do the threads do?", "clrstack -all"),
    Example("Which handles are there?", "gchandles -stat"),
    Example(
        "Which types retain most?",
        "SELECT name, live_count, live_size, retained\nFROM types\nWHERE live_count > 0\nORDER BY retained DESC\nLIMIT 50",
    ),
    Example(
        "What is large and held by nobody but one object?",
        "SELECT address, type, size, retained\nFROM heap\nWHERE live\nORDER BY retained DESC\nLIMIT 50",
    ),
    Example(
        "Which fields hold the most strings?",
        "SELECT s.name AS type, r.name AS field, f.references AS strings\nFROM field_references f\n"
        "JOIN types t ON t.id = f.target_type\nJOIN types s ON s.id = f.source_type\n"
        'LEFT JOIN reference_slots r ON r.type = s.id AND r."offset" = f."offset"\n'
        "WHERE t.name = 'System.String'\nORDER BY strings DESC\nLIMIT 50",
    ),
    Example(
        "Which collections are mostly empty?",
        "SELECT h.address, h.type, c.count, c.capacity\nFROM collections c JOIN heap h ON h.id = c.object\n"
        "WHERE h.live AND c.capacity BETWEEN 1000 AND 4000000000 AND c.count < c.capacity / 4\n"
        "ORDER BY c.capacity - c.count DESC\nLIMIT 50",
    ),
    Example(
        "Who refers to one object?",
        "SELECT s.address, s.type, e.slot AS word\nFROM edges e\nJOIN heap s ON s.id = e.source\nWHERE e.target = 0",
    ),
    Example(
        "How much of each generation is dead?",
        "SELECT generation, count(*) AS objects, sum(size) AS bytes, sum(size) FILTER (NOT live) AS dead\n"
        "FROM heap\nWHERE type <> 'Free'\nGROUP BY generation\nORDER BY generation",
    ),
)

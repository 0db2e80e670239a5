"""The frame around every page of a dump: rail, header strip, coverage strip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from analysis.index.store import Index


@dataclass(frozen=True, slots=True)
class RailItem:
    """One page in the rail."""

    label: str
    url: str
    key: str
    current: bool
    count: int | None = None
    bad: bool = False


@dataclass(frozen=True, slots=True)
class RailGroup:
    """Pages that belong together."""

    heading: str
    items: tuple[RailItem, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of the header strip: the emphasised part, then words; sizes are given in bytes."""

    strong: str = ""
    words: str = ""
    bytes: int | None = None
    #: A ticket: where it leads outside of this server.
    ticket: str = ""


@dataclass(frozen=True)
class Frame:
    """What the frame shows about one dump. Without an index it has no pages but the overview."""

    dump_id: str
    title: str
    team: str
    current: str
    chips: tuple[str, ...] = ()
    index: Index | None = None
    received: tuple[Fact, ...] = ()
    #: How far people are with the dump.
    case: tuple[Fact, ...] = ()
    #: Notes that the person may read.
    notes: int = 0
    summary: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", self.index.facts("summary") if self.index else {})

    def url(self, name: str, *arguments: Any) -> str:
        """The address of a page of this dump."""
        return reverse(name, args=[self.dump_id, *arguments])

    @property
    def overview_url(self) -> str:
        return self.url("dump-overview")

    @property
    def coverage_url(self) -> str:
        return self.url("dump-coverage")

    @property
    def coverage(self) -> list[dict[str, Any]]:
        return self.index.facts("coverage").get("items", []) if self.index else []

    @property
    def coverage_strip(self) -> list[dict[str, Any]]:
        """Heap and threads always, anything else only where it is not complete."""
        return [item for item in self.coverage if item["topic"] in ("heap", "threads") or item["state"] != "complete"][:5]

    @property
    def has_heap(self) -> bool:
        return self.index is not None and self.index.rows["objects"] > 0

    @property
    def rail(self) -> list[RailGroup]:
        def item(label: str, name: str, key: str, current: str, count: int | None = None, *, bad: bool = False) -> RailItem:
            return RailItem(label, self.url(name), key, self.current == current, count, bad)

        overview = item("Overview", "dump-overview", "o", "overview")
        notes = item("Notes", "dump-notes", "n", "notes", self.notes or None)
        if self.index is None:
            return [RailGroup("", (overview, notes))]
        rows = self.index.rows
        found = self.index.facts("findings").get("items", [])
        critical = any(one["severity"] == "critical" for one in found)
        cycles = len(set(self.index.column("cycles", "cycle").tolist()))
        groups = [RailGroup("", (overview, item("Findings", "dump-findings", "f", "findings", len(found) or None, bad=critical)))]
        memory = (
            item("Types", "dump-types", "h", "types", rows["types"] if self.has_heap else None),
            item("Retention", "dump-retained", "r", "retained"),
            item("Roots", "dump-roots", "b", "roots", rows["roots"] or None),
            item("Strings", "dump-strings", "w", "strings"),
            item("GC", "dump-gc", "c", "gc"),
        )
        dump = (
            item("Compare", "dump-compare-choose", "d", "compare"),
            item("Query", "dump-query", "q", "query"),
            item("Modules", "dump-modules", "m", "modules", rows["modules"] + rows["native_modules"]),
            item("Coverage", "dump-coverage", "v", "coverage"),
            notes,
            item("Access", "dump-access", "p", "access"),
        )
        return [
            *groups,
            RailGroup("Memory", memory),
            RailGroup(
                "Execution",
                (
                    item("Threads", "dump-threads", "t", "threads", rows["threads"]),
                    item("Stacks", "dump-stacks", "s", "stacks"),
                    item("Locks", "dump-locks", "l", "locks", cycles or rows["locks"] or None, bad=cycles > 0),
                    item("Crash", "dump-crash", "x", "crash", bad=bool(self.index.facts("crash").get("kind"))),
                ),
            ),
            RailGroup("Dump", dump),
        ]

    @property
    def facts(self) -> list[Fact]:
        """The header strip: what the engine found, then how the file came here."""
        if not self.summary:
            return list(self.received)
        dump, process, runtime = (self.summary.get(part) or {} for part in ("dump", "process", "runtime"))
        collector = self.summary.get("gc") or {}
        facts = [
            Fact(process.get("name") or "process", f"pid {process['pid']}" if process.get("pid") else ""),
            Fact(runtime.get("version") or "unknown version", f"of {runtime.get('name') or 'the runtime'}"),
            Fact(f"{dump.get('operating_system', '')} {dump.get('architecture', '')}".strip()),
            Fact(dump.get("kind") or "unknown", f"dump by {dump.get('written_by') or 'an unknown tool'}"),
        ]
        if self.has_heap and "server" in collector:
            facts.append(Fact("", "server GC" if collector["server"] else "workstation GC"))
        return [*facts, *self.received]

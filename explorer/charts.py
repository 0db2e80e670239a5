"""Results as Plotly figures: plain dictionaries that ``plotly.graph_objects.Figure`` accepts and static/js/charts.js draws.

Colours are not chosen here: ``meta.tones`` names a tone per mark and the script looks it up in the style sheet, so
that a chart follows the theme. Every text is escaped, because Plotly reads some markup in labels.
"""

from __future__ import annotations

from typing import Any

from explorer.pages.generations import BY_NAME
from explorer.pages.names import shortened, visible
from explorer.pages.numbers import grouped, percent, readable_bytes
from explorer.pages.types import TypeCatalogue

#: More sectors than this make a treemap slow and unreadable; the rest is added up per namespace.
MOST_SECTORS = 500
_LONGEST_LABEL = 60
_TONES = 8
#: What the whole treemap stands for: its label, and how its tooltips name it.
_WHOLE = {"": ("Heap", "the heap"), "live": ("Live heap", "the live heap"), "dead": ("Dead objects", "all dead objects")}

Figure = dict[str, Any]


def plain(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Text that Plotly shows as it is written: no tag, no entity, nothing invisible."""
    shown = shortened(visible(text), longest)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def generations_bar(rows: list[dict[str, Any]]) -> Figure:
    """Used and free bytes per generation, one bar each."""
    labels = [row["generation"] for row in rows]
    tones = [BY_NAME[row["name"]].slug for row in rows]
    used, free = [row["size"] for row in rows], [row["free_size"] for row in rows]

    def trace(name: str, sizes: list[int], kind: str) -> Figure:
        return {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": labels,
            "x": sizes,
            "customdata": [[readable_bytes(size), grouped(size)] for size in sizes],
            "hovertemplate": f"%{{y}}: %{{customdata[0]}} {kind}<br>%{{customdata[1]}} B<extra></extra>",
            "meta": {"tones": [f"{tone}-free" if kind == "free" else tone for tone in tones]},
        }

    return {
        "data": [trace("Used", used, "in objects"), trace("Free", free, "free")],
        "layout": {
            "barmode": "stack",
            "bargap": 0.35,
            "showlegend": False,
            "xaxis": {"tickformat": "~s", "ticksuffix": "B", "nticks": 5, "fixedrange": True},
            "yaxis": {"autorange": "reversed", "fixedrange": True, "ticksuffix": "  "},
            "margin": {"l": 58, "r": 12, "t": 4, "b": 28},
        },
    }


def types_treemap(types: TypeCatalogue, urls: dict[int, str], type_ids: list[int], objects: str = "") -> Figure:
    """The bytes of all, live or dead ``objects`` by namespace and type; ``type_ids`` (biggest first) get their own sector."""
    sectors = _Sectors(types, objects)
    for type_id in type_ids:
        sectors.add_type(type_id, urls.get(type_id, ""))
    sectors.add_rest()
    return {
        "data": [
            {
                "type": "treemap",
                "ids": sectors.ids,
                "labels": sectors.labels,
                "parents": sectors.parents,
                "values": sectors.values,
                "customdata": sectors.details,
                "branchvalues": "total",
                "maxdepth": 4,
                "tiling": {"pad": 2},
                "pathbar": {"thickness": 22},
                "texttemplate": "%{label}<br>%{customdata[0]}",
                "hovertemplate": "%{customdata[4]}<br>%{customdata[0]} (%{customdata[1]} % of "
                f"{_WHOLE[objects][1]})<br>%{{customdata[2]}} objects<extra></extra>",
                "meta": {"tones": sectors.tones},
            }
        ],
        "layout": {"margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "uniformtext": {"minsize": 9, "mode": "hide"}},
    }


class _Sectors:
    """The sectors of the treemap, parents before children: whole heap, first part of the namespace, namespace, type."""

    def __init__(self, types: TypeCatalogue, objects: str) -> None:
        self._types = types
        self._counts, self._sizes = types.shown(None, objects)
        self._whole = int(self._sizes.sum())
        self._families, self._groups = types.sums_by_namespace(objects)
        self._tone_of: dict[str, str] = {}
        self._drawn: dict[str, list[int]] = {}
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.parents: list[str] = []
        self.values: list[int] = []
        self.details: list[list[str]] = []
        self.tones: list[str] = []
        self._add("", "", _WHOLE[objects][0], self._whole, int(self._counts.sum()), "", "root")

    def _add(self, key: str, parent: str, text: str, size: int, count: int, url: str, tone: str, full: str = "") -> None:
        self.ids.append(key or "heap")
        self.parents.append(parent or ("heap" if key else ""))
        self.labels.append(plain(text))
        self.values.append(size)
        self.details.append([readable_bytes(size), percent(size, self._whole), grouped(count), url, plain(full or text, 120)])
        self.tones.append(tone)

    def add_type(self, type_id: int, url: str) -> None:
        namespace, name = self._types.namespaces[type_id], self._types.names[type_id]
        if len(self.ids) >= MOST_SECTORS - 40 or not self._counts[type_id]:
            return
        key = self._namespace(namespace)
        tone = "free" if self._types.kinds[type_id] == "free" else self._tone_of[namespace.split(".", 1)[0]]
        text = name[len(namespace) + 1 :] if namespace else name
        self._drawn.setdefault(namespace, []).append(type_id)
        self._add(f"t:{type_id}", key, text, int(self._sizes[type_id]), int(self._counts[type_id]), url, tone, name)

    def _namespace(self, namespace: str) -> str:
        first = namespace.split(".", 1)[0]
        if first not in self._tone_of:
            self._tone_of[first] = str(len(self._tone_of) % _TONES + 1)
            if first:
                family = self._families[first]
                self._add(f"n:{first}", "", first, family.size, family.count, "", self._tone_of[first])
        if namespace not in self._drawn:
            self._drawn[namespace] = []
            if namespace != first:
                group, below = self._groups[namespace], namespace[len(first) + 1 :]
                self._add(f"n:{namespace}", f"n:{first}", below, group.size, group.count, "", self._tone_of[first], namespace)
        return f"n:{namespace}" if namespace else ""

    def add_rest(self) -> None:
        """One sector per drawn namespace for the types that were left off, as long as there is room."""
        for namespace, drawn in list(self._drawn.items()):
            group = self._groups[namespace]
            left, size = group.types - len(drawn), group.size - int(self._sizes[drawn].sum())
            if left and size and drawn and len(self.ids) < MOST_SECTORS:
                count = group.count - int(self._counts[drawn].sum())
                first = namespace.split(".", 1)[0]
                parent = f"n:{namespace}" if namespace else ""
                self._add(f"r:{namespace}", parent, f"{grouped(left)} smaller types", size, count, "", self._tone_of[first])

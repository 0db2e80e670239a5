"""Dumps that the search knows, with names made to measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.index.store import open_index
from explorer.models import Dump, Team, User
from explorer.services.findings import findings_of
from explorer.services.search_kinds import BY_SLUG
from explorer.services.search_rows import FoundNames, names_found, replace_postings
from tests.stored_dumps import analysed_dump


def searchable_dump(team: Team, user: User, name: str = "shop.dmp", **fields: Any) -> Dump:
    """A stored dump whose index is searchable, as a published one is."""
    dump = analysed_dump(team, user, name, **fields)
    index = open_index(dump.analysis.index_directory)
    replace_postings(dump, names_found(index, findings_of(dump, index.structure)), dump.analysis)
    return dump


def dump_with_names(team: Team, user: User, name: str, names: Mapping[str, Sequence[str]], **fields: Any) -> Dump:
    """A stored dump of which the search knows just these names, by the slug of their kind."""
    dump = analysed_dump(team, user, name, **fields)
    found = [FoundNames(BY_SLUG[slug], {text: row for row, text in enumerate(texts)}, 0) for slug, texts in names.items()]
    replace_postings(dump, found, dump.analysis)
    return dump

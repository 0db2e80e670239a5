"""Strings of the heap: those with the same text, what they waste, how long strings are, and which fields hold the copies."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.slot_names import fields_of_words, word_numbers
from analysis.heap.walk import HeapWalk
from analysis.kernels import strings as kernels

_REPORTED_GROUPS = 10_000
_GROUPS_WITH_HOLDERS = 1_000
_SMALLEST_TABLE_BITS = 8
_U32 = npt.NDArray[np.uint32]
_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Strings:
    """All strings of a heap in address order: ``rows`` uint32[n] object ids, ``lengths`` uint32[n] characters,
    ``sizes`` int64[n] bytes, ``groups`` uint32[n] the text of each.

    ``firsts`` uint32[texts]: place in ``rows`` of the first string with a text; ``counts`` int64[texts] strings with it.
    """

    rows: _U32
    lengths: _U32
    sizes: _I64
    groups: _U32
    firsts: _U32
    counts: _I64

    @property
    def wasted(self) -> _I64:
        """Bytes in all strings of a text but one, along ``firsts``."""
        return (self.counts - 1) * self.sizes[self.firsts]

    def worst(self) -> _I64:
        """Texts that occur more than once, those that waste most first, at most as many as are reported."""
        wasted = self.wasted
        repeated = np.flatnonzero(self.counts > 1)
        return repeated[np.argsort(-wasted[repeated], kind="stable")][:_REPORTED_GROUPS]


def find_strings(dump: Dump, walked: HeapWalk) -> Strings:
    """Every string of the heap; strings have the same text when all their characters are equal."""
    kind, count = _string_type(dump, walked)
    columns, words = walked.columns, walked.captured.words
    rows, lengths, hashes = np.empty(count, np.uint32), np.empty(count, np.uint32), np.zeros(count, np.uint64)
    places = np.empty(count, np.int64)
    offset = dump.runtime.target.layout.offset("String", "m_StringLength")
    kernels.find_strings(words, walked.jobs, columns.type, columns.address, kind, offset, rows, places, lengths)
    # A seed nobody knows: no dump can be made whose strings all meet in one place of the table.
    kernels.hash_strings(words, places, lengths, 0, count, np.uint64(secrets.randbits(64)), hashes)
    bits = max(_SMALLEST_TABLE_BITS, int(count * 4 // 3).bit_length())
    groups, firsts = np.empty(count, np.uint32), np.empty(count, np.uint32)
    slots = np.zeros(1 << bits, np.uint64)
    texts = kernels.group_strings(words, places, lengths, hashes, slots, np.uint64(64 - bits), groups, firsts)
    counts = np.bincount(groups, minlength=texts).astype(np.int64)
    return Strings(rows, lengths, columns.size[rows].astype(np.int64), groups, firsts[:texts].copy(), counts)


def _string_type(dump: Dump, walked: HeapWalk) -> tuple[int, int]:
    """Type id of strings and how many there are; a type no object has where there are none."""
    tables, wanted = walked.types.method_tables, dump.runtime.types.string_method_table
    if wanted not in tables:
        return len(tables), 0
    kind = tables.index(wanted)
    return kind, int(walked.types.counts[kind].sum())


@dataclass(frozen=True, slots=True)
class Holders:
    """Fields that refer to objects of a rank, most references first within it: ``source_type`` is a type id, ``offset`` as in
    ``reference_slots``; all int64[n]. For strings the rank is the place of the text in ``worst``."""

    rank: _I64
    source_type: _I64
    offset: _I64
    references: _I64


def find_holders(strings: Strings, worst: _I64, retention: Retention) -> Holders:
    """Who refers to the strings of the first texts of ``worst``."""
    ranks_of_texts = np.zeros(len(strings.firsts), np.uint16)
    told = worst[:_GROUPS_WITH_HOLDERS]
    ranks_of_texts[told] = np.arange(1, len(told) + 1)
    ranks = np.zeros(retention.objects, np.uint16)
    ranks[strings.rows] = ranks_of_texts[strings.groups]
    return holders_of(ranks, retention)


def holders_of(ranks: npt.NDArray[np.uint16], retention: Retention) -> Holders:
    """Who refers to objects with a rank: uint16[objects], 0 for none, else one more than the rank."""
    held = np.flatnonzero(ranks)
    bounds = retention.referrer_offsets
    keys = np.empty(int((bounds[held + 1].astype(np.int64) - bounds[held]).sum()), np.uint64)
    numbers, elements = word_numbers(retention.walked.types, retention.descriptors)
    count = kernels.find_holders(
        retention.offsets, retention.targets, retention.slots, retention.walked.columns.type, numbers, elements, ranks, keys
    )
    found, references = np.unique(keys[:count], return_counts=True)
    rank, word = (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)
    source_type, offset = fields_of_words(numbers, elements, word)
    order = np.lexsort((-references, rank))
    return Holders(rank[order], source_type[order], offset[order], references[order].astype(np.int64))

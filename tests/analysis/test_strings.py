"""Strings of every dump: how many, which are copies and who holds them, against the reference reader and a slow twin."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict

import numpy as np
import pytest

from analysis.dump import Dump
from analysis.graph.retention import Retention
from analysis.graph.strings import Strings, find_holders, find_strings
from analysis.heap.walk import HeapWalk
from analysis.kernels import strings as kernels
from tests.analysis.reference_dumps import ReferenceDump

#: The reference compares and lists the beginning of a text, and so many texts.
_COMPARED_CHARACTERS, _SHOWN_CHARACTERS, _LISTED = 4096, 120, 50
_SMALL_HEAP = 60_000


@pytest.fixture(scope="module")
def walked(dump: Dump) -> HeapWalk:
    found = dump.walk()
    if found is None or not found.object_count:
        pytest.skip("a dump without a heap has no strings")
    return found


@pytest.fixture(scope="module")
def strings(dump: Dump, walked: HeapWalk) -> Strings:
    return find_strings(dump, walked)


def _text(dump: Dump, walked: HeapWalk, row: int) -> str:
    address = int(walked.columns.address[row])
    (length,) = struct.unpack("<I", dump.core.memory.read(address + 8, 4))
    return dump.core.memory.read(address + 12, 2 * length).decode("utf-16-le", "replace")


def test_strings_equal(reference: ReferenceDump, strings: Strings) -> None:
    if "string_count" not in reference.oracle:
        pytest.skip("the reference answers of this dump hold no strings")
    assert len(strings.rows) == reference.oracle["string_count"]


def test_duplicate_strings_equal(reference: ReferenceDump, dump: Dump, walked: HeapWalk, strings: Strings) -> None:
    """The reference lists the texts that take most bytes in all, each cut after 120 characters."""
    listed = reference.oracle.get("duplicate_strings")
    if not listed:
        pytest.skip("the reference answers of this dump hold no copies of strings")
    found: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for text in np.flatnonzero((strings.counts > 1) | (strings.lengths[strings.firsts] > _COMPARED_CHARACTERS)).tolist():
        row = int(strings.firsts[text])
        pair = found[_text(dump, walked, int(strings.rows[row]))[:_COMPARED_CHARACTERS]]
        pair[0] += int(strings.counts[text])
        pair[1] += int(strings.counts[text] * strings.sizes[row])
    ours = Counter((value[:_SHOWN_CHARACTERS], count, size) for value, (count, size) in found.items() if count > 1)
    wanted = Counter((one["value"], one["count"], one["size"]) for one in listed)
    assert not wanted - ours
    ranked = sorted((size for _, size in ((c, s) for c, s in found.values() if c > 1)), reverse=True)[:_LISTED]
    assert ranked == sorted((one["size"] for one in listed), reverse=True)


def test_texts_equal_a_slow_twin(dump: Dump, walked: HeapWalk, strings: Strings) -> None:
    if len(strings.rows) > _SMALL_HEAP:
        pytest.skip("a heap too large for the slow twin")
    texts = [_text(dump, walked, row) for row in strings.rows.tolist()]
    assert Counter(texts) == {texts[first]: count for first, count in zip(strings.firsts, strings.counts, strict=True)}
    assert [texts[first] for first in strings.firsts[strings.groups].tolist()] == texts


def test_holders_equal_a_slow_twin(dump: Dump, walked: HeapWalk, strings: Strings) -> None:
    if walked.object_count > _SMALL_HEAP * 2:
        pytest.skip("a heap too large for the slow twin")
    retention = Retention(dump, walked)
    worst = strings.worst()[:1000]
    holders = find_holders(strings, worst, retention)
    ranks = {text: rank for rank, text in enumerate(worst.tolist())}
    rank_of = {
        row: ranks[text] for row, text in zip(strings.rows.tolist(), strings.groups.tolist(), strict=True) if text in ranks
    }
    wanted: Counter[tuple[int, int, int]] = Counter()
    types, components = walked.columns.type, walked.types.component_size
    for source in range(retention.objects):
        part = slice(int(retention.offsets[source]), int(retention.offsets[source + 1]))
        for target, slot in zip(retention.targets[part].tolist(), retention.slots[part].tolist(), strict=True):
            if target in rank_of:
                kind = int(types[source])
                offset = (slot * 8 - 16) % int(components[kind]) if components[kind] and slot < 0xFFFFFFFE else slot * 8
                wanted[rank_of[target], kind, offset if slot < 0xFFFFFFFE else slot] += 1
    columns = (holders.rank, holders.source_type, holders.offset, holders.references)
    found = {(r, t, o): n for r, t, o, n in zip(*(column.tolist() for column in columns), strict=True)}
    assert found == wanted
    assert np.all(np.diff(holders.rank) >= 0)


def _laid_out(*texts: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words, places and lengths of strings, the room behind each filled with what does not belong to it."""
    raw, places = b"", []
    for number, text in enumerate(texts):
        places.append(len(raw) // 8)
        raw += struct.pack("<I", len(text)) + text.encode("utf-16-le")
        raw += bytes([number + 1]) * (-len(raw) % 8)
    return np.frombuffer(raw, np.uint64), np.array(places, np.int64), np.array([len(text) for text in texts], np.uint32)


def _grouped(words: np.ndarray, places: np.ndarray, lengths: np.ndarray, hashes: np.ndarray) -> list[int]:
    groups, firsts = np.zeros(len(places), np.uint32), np.zeros(len(places), np.uint32)
    kernels.group_strings(words, places, lengths, hashes, np.zeros(64, np.uint64), np.uint64(58), groups, firsts)
    return groups.tolist()


_TEXTS = ("", "a", "ab", "a", "abc", "abcd", "abcde", "", "abcde", "abcdf", "\0", "\0\0", "abcd")
_GROUPS = [0, 1, 2, 1, 3, 4, 5, 0, 5, 6, 7, 8, 4]


def test_what_lies_behind_a_string_does_not_count() -> None:
    words, places, lengths = _laid_out(*_TEXTS)
    hashes = np.zeros(len(places), np.uint64)
    kernels.hash_strings(words, places, lengths, 0, len(places), np.uint64(7), hashes)
    assert len(set(hashes.tolist())) == len(set(_TEXTS))
    assert _grouped(words, places, lengths, hashes) == _GROUPS


def test_texts_whose_hashes_meet_stay_apart() -> None:
    words, places, lengths = _laid_out(*_TEXTS)
    assert _grouped(words, places, lengths, np.full(len(places), 5, np.uint64)) == _GROUPS


def test_strings_that_are_not_in_the_dump_as_a_whole_are_like_no_other() -> None:
    words, places, lengths = _laid_out("same", "same", "same")
    places[[0, 2]] = kernels.CUT
    assert _grouped(words, places, lengths, np.zeros(3, np.uint64)) == [0, 1, 2]

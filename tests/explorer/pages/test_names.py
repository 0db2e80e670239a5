"""Names and numbers as pages show them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.pages.names import LONGEST_NAME, name_parts, namespace_of, shortened, split_parts, visible
from explorer.pages.numbers import THIN_SPACE, address, duration, grouped, percent, readable_bytes
from tests.index_builder import HOSTILE_NAMES


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_becomes_short_and_visible(name: str) -> None:
    shown = visible(name)
    assert 0 < len(shown) <= LONGEST_NAME
    assert not [character for character in shown if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_invisible_characters_are_named_by_their_code_point() -> None:
    assert visible("a\u202eb") == "a⟨U+202E⟩b"
    assert visible("nul\x00") == "nul⟨U+0000⟩"
    assert visible("Straße.Çedilla") == "Straße.Çedilla"


@given(st.text(max_size=3000))
def test_any_text_stays_within_the_cap(text: str) -> None:
    assert len(visible(text)) <= LONGEST_NAME


def test_a_cut_name_keeps_both_ends() -> None:
    assert shortened("abcdefghij" * 20, 21) == "abcdefghijab…cdefghij"
    assert shortened("short") == "short"


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("System.String", "System"),
        ("System.Collections.Generic.List<System.Int32>", "System.Collections.Generic"),
        ("System.Byte[]", "System"),
        ("Shop.Orders+Line.Part", "Shop"),
        ("Free", ""),
        ("<>z__ReadOnlyArray<System.Object>", ""),
        (".ctor", ""),
    ],
)
def test_the_namespace_ends_before_generics_arrays_and_nesting(name: str, namespace: str) -> None:
    assert namespace_of(name) == namespace


def test_namespaces_are_grey_before_the_type_and_before_its_arguments() -> None:
    parts = name_parts("System.Func<System.Int32, Shop.Order>")
    assert [part.text for part in parts if part.quiet] == ["System.", "System.", "Shop."]
    assert "".join(part.text for part in parts) == "System.Func<System.Int32, Shop.Order>"


@given(st.text(alphabet="aB.<>+[],_1", max_size=60), st.integers(0, 70))
def test_splitting_a_name_loses_nothing(name: str, at: int) -> None:
    head, tail = split_parts(name_parts(name), at)
    assert "".join(part.text for part in head) == name[:at]
    assert "".join(part.text for part in [*head, *tail]) == name


def test_numbers_read_well() -> None:
    assert grouped(1234567) == f"1{THIN_SPACE}234{THIN_SPACE}567"
    assert readable_bytes(999) == f"999{THIN_SPACE}B"
    assert readable_bytes(235_503_616) == f"235.5{THIN_SPACE}MB"
    assert readable_bytes(999_960) == f"1.00{THIN_SPACE}MB"
    assert address(0x7F5CBA000008) == "0x7f5cba000008"
    assert [duration(seconds) for seconds in (0.44, 12, 185, 7800)] == ["0.4 s", "12 s", "3 min 5 s", "2 h 10 min"]


def test_a_share_is_never_falsely_nothing_or_all() -> None:
    assert percent(1, 10_000_000) == "<0.1"
    assert percent(9_999_999, 10_000_000) == ">99.9"
    assert percent(0, 5) == "0"
    assert percent(5, 5) == "100"
    assert percent(1, 0) == "0"

"""How values become HTML: cells by kind of column, type names with grey namespaces, bytes with their exact number on hover."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from explorer.pages import numbers
from explorer.pages.generations import GENERATION_LIST
from explorer.pages.names import NamePart, name_parts, namespace_of, shortened, split_parts, visible
from explorer.pages.references import Piece, method_parts
from explorer.pages.tables import Column, Link, structure

register = template.Library()

_MISSING = mark_safe('<span class="missing" title="unknown or none">–</span>')
_QUIET_START, _QUIET_END = mark_safe('<span class="ns">'), mark_safe("</span>")
_BAR_WIDTH = 72
#: Characters at the end of a long type name that stay when it is shortened.
_TAIL = 24


@register.filter
def grouped(value: Any) -> str:
    """A whole number with thin thousands separators."""
    return numbers.grouped(int(value)) if value is not None else "–"


@register.filter
def readable_bytes(value: Any) -> SafeString:
    """A size with its unit; the exact bytes are the hover text."""
    if value in (None, ""):
        return _MISSING
    return format_html(
        '<span class="bytes" title="{} B">{}</span>', numbers.grouped(int(value)), numbers.readable_bytes(int(value))
    )


@register.filter
def address(value: Any) -> str:
    """A number as an address."""
    return numbers.address(int(value))


@register.filter
def duration(value: Any) -> str:
    """Seconds in words."""
    return numbers.duration(float(value))


@register.filter(name="visible")
def visible_filter(value: Any) -> str:
    """Foreign text with its invisible characters made visible, cut to a line."""
    return visible(str(value), 300)


@register.filter
def visible_lines(value: Any) -> str:
    """Foreign text of several lines, each made visible."""
    return "\n".join(visible(line, 300) for line in str(value).splitlines()[:40])


@register.filter
def type_name(value: Any) -> SafeString:
    """A type name, shortened in the middle, its namespaces grey, the whole on hover."""
    return _name_html(visible(str(value)))


@register.filter
def whole_type_name(value: Any) -> SafeString:
    """A type name at full length, its namespaces grey."""
    return _parts_html(name_parts(visible(str(value))))


@register.simple_tag
def cell(column: Column, row: dict[str, Any]) -> SafeString:
    """One table cell with its ``td``."""
    value = row.get(column.key)
    draw = _CELLS.get(column.kind, _text)
    return format_html('<td class="{}">{}</td>', _CLASSES.get(column.kind, ""), _MISSING if value is None else draw(value))


@register.simple_tag
def cell_of(kind: str, value: Any) -> SafeString:
    """One table cell of a kind of column, for tables that are written out by hand."""
    return cell(structure("value", "", kind), {"value": value})


@register.simple_tag
def share(value: tuple[int, int]) -> SafeString:
    """A part of a whole as a bar and per cent."""
    return _share(value)


@register.simple_tag
def percent(value: tuple[int, int]) -> str:
    """A part of a whole in per cent."""
    return numbers.percent(*value)


def _parts_html(parts: list[NamePart]) -> SafeString:
    return format_html_join(
        "", "{}{}{}", ((_QUIET_START, part.text, _QUIET_END) if part.quiet else ("", part.text, "") for part in parts)
    )


def _name_html(name: str) -> SafeString:
    """Head and tail of a name: the style sheet shortens the head to the room there is, so that the cut is in the middle."""
    if name == "":
        return _MISSING
    head, tail = split_parts(name_parts(name), len(name) - _TAIL if len(name) > _TAIL + 12 else len(name))
    if not tail:
        return format_html('<span class="name" title="{}"><span class="start">{}</span></span>', name, _parts_html(head))
    return format_html(
        '<span class="name" title="{}"><span class="start">{}</span><span class="end">{}</span></span>',
        name,
        _parts_html(head),
        _parts_html(tail),
    )


def _copy(text: str) -> SafeString:
    return format_html('<button type="button" class="copy" data-copy="{}" aria-label="Copy {}"></button>', text, text[:80])


def _name(value: Any) -> SafeString:
    if isinstance(value, Link):
        return format_html(
            '<span class="named"><a href="{}">{}</a>{}</span>', value.url, _name_html(value.text), _copy(value.text)
        )
    return _name_html(str(value))


def _owner(value: Any) -> SafeString:
    """The declaring type without its namespace: beside the fields the simple name says enough."""
    text = str(value)
    return format_html('<span title="{}">{}</span>', text, text[len(namespace_of(text)) :].lstrip(".")) if text else _MISSING


def _text(value: Any) -> SafeString:
    if isinstance(value, Link):
        return format_html('<a href="{}" title="{}">{}</a>', value.url, value.text, shortened(value.text))
    text = str(value)
    if text == "":
        return _MISSING
    return format_html('<span title="{}">{}</span>', text, shortened(text)) if len(text) > 60 else escape(text)


def _module(value: Any) -> SafeString:
    return format_html('<span title="{}">{}</span>', value, value) if value else _MISSING


def _number(value: Any) -> str:
    return numbers.grouped(int(value))


def _address(value: Any) -> SafeString:
    if isinstance(value, Link):
        return format_html('<code><a href="{}">{}</a></code>{}', value.url, value.text, _copy(value.text))
    shown = numbers.address(int(value))
    return format_html("<code>{}</code>{}", shown, _copy(shown))


def _share(value: tuple[int, int]) -> SafeString:
    part, whole = value
    width = round(_BAR_WIDTH * part / whole, 1) if whole else 0
    return format_html(
        '<svg class="bar" width="{}" height="6" aria-hidden="true"><rect class="track" width="{}" height="6" rx="3"/>'
        '<rect class="fill" width="{}" height="6" rx="3"/></svg> <span class="share">{}</span>',
        _BAR_WIDTH,
        _BAR_WIDTH,
        width,
        numbers.percent(part, whole),
    )


def _mix(sizes: list[int]) -> SafeString:
    whole, x, blocks, words = sum(sizes), 0.0, [], []
    for generation, size in zip(GENERATION_LIST, sizes, strict=True):
        if size:
            width = max(2.0, 96 * size / whole)
            blocks.append((generation.slug, round(x, 1), round(width, 1)))
            words.append(f"{generation.label} {numbers.readable_bytes(size)}")
            x += width
    shown = ", ".join(words)
    return format_html(
        '<svg class="mix" viewBox="0 0 {} 10" preserveAspectRatio="none" width="96" height="10" role="img" aria-label="{}">'
        "<title>{}</title>{}</svg>",
        max(96.0, round(x, 1)),
        shown,
        shown,
        format_html_join("", '<rect class="tone-{}" x="{}" width="{}" height="10"/>', blocks),
    )


def _words(value: str) -> SafeString:
    words = [word.strip() for word in str(value).split(",") if word.strip()]
    return format_html_join(" ", '<span class="word">{}</span>', ((word,) for word in words)) if words else _MISSING


def _code(value: Any) -> SafeString:
    text = str(value)
    if text == "":
        return _MISSING
    if len(text) < 32:
        return format_html('<code title="{}">{}</code>', text, text)
    return format_html('<code title="{}">{}</code>{}', text, shortened(text, 44), _copy(text))


def _state(value: tuple[str, str, str, float]) -> SafeString:
    state, label, reason, fraction = value
    tone = {"done": "good", "failed": "bad", "cancelled": "quiet"}.get(state, "doubt")
    words = f"{label} {round(100 * fraction)} %" if state == "running" else label
    return format_html('<span class="tag {}" title="{}">{}</span>', tone, reason, words)


def _status(value: tuple[str, str]) -> SafeString:
    status, label = value
    tone = {"open": "quiet", "investigating": "doubt", "resolved": "good"}.get(status, "quiet")
    return format_html('<span class="tag {}">{}</span>', tone, label)


@register.filter(name="ticket")
def _ticket(value: str) -> SafeString:
    """A ticket as the host it lies on; nobody there learns which page here led to it."""
    host = urlsplit(value).hostname if value.startswith("https://") else ""
    if not host:
        return _MISSING
    return format_html(
        '<a href="{}" rel="noreferrer noopener nofollow" title="{}">{}</a>', value, visible(value, 300), visible(host, 60)
    )


def _when(value: datetime) -> SafeString:
    shown = timezone.localtime(value)
    whole, short = f"{shown:%Y-%m-%d %H:%M:%S %Z}", f"{shown:%d %b %H:%M}"
    return format_html('<time datetime="{}" title="{}">{}</time>', shown.isoformat(), whole, short)


def _flag(value: Any) -> SafeString:
    return mark_safe('<span class="word">yes</span>') if value else _MISSING


def _sentence(value: Any) -> SafeString:
    return format_html('<span class="sentence" title="{}">{}</span>', value, value) if value else _MISSING


@register.simple_tag
def piece(value: Piece) -> SafeString:
    """Words of a sentence: a link where they stand for a thread, lock or frame."""
    if not value.url:
        return format_html("{}", value.text)
    mark = "mono" if value.kind in ("frame", "lock", "exception", "object", "type", "root") else ""
    return format_html('<a href="{}" class="ref {} {}" title="{}">{}</a>', value.url, value.kind, mark, value.title, value.text)


@register.simple_tag
def sentence(pieces: list[Piece]) -> SafeString:
    """A sentence with its links."""
    return format_html_join("", "{}", ((piece(one),) for one in pieces))


@register.filter
def method_name(value: Any) -> SafeString:
    """A method: its namespace grey, its own name strong, its parameters faint; the whole on hover."""
    whole = visible(str(value))
    parts = method_parts(whole)
    return format_html(
        '<span class="method" title="{}"><span class="ns">{}</span>{}<b>{}</b><span class="args">{}</span></span>',
        whole, parts.namespace, parts.declaring, parts.method, parts.parameters,
    )  # fmt: skip


_CELLS: dict[str, Any] = {
    "sentence": _sentence,
    "thread": lambda value: format_html('<a href="{}">{}</a>', value.url, value.text),
    "name": _name,
    "owner": _owner,
    "module": _module,
    "number": _number,
    "bytes": readable_bytes,
    "id": str,
    "share": _share,
    "mix": _mix,
    "words": _words,
    "address": _address,
    "code": _code,
    "flag": _flag,
    "state": _state,
    "status": _status,
    "ticket": _ticket,
    "when": _when,
}
_CLASSES = {
    "number": "num",
    "id": "num",
    "thread": "num",
    "sentence": "wrap",
    "bytes": "num",
    "share": "sharecell",
    "name": "mono typename",
    "address": "mono",
    "module": "clip module",
    "owner": "mono clip module",
}

"""Tell kinds of text apart, for files that are no dump at all."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

_LOOKED_AT = 64 << 10
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class SniffedText:
    """A kind of text; an empty ``remedy`` means the general one."""

    format: str
    title: str
    reason: str
    remedy: str = ""


_WEB_PAGE = SniffedText(
    "html",
    "Web page (HTML)",
    "This is a web page, not a dump: probably a login or an error page that was saved in place of the file.",
    "Download the dump again while signed in.",
)
_CRASH_REPORT = SniffedText(
    "crash_report",
    "Crash report (.crashreport.json)",
    "This is createdump's crash report, which holds no memory.",
    "Upload the core dump that was written beside it.",
)


def sniff_text(head: bytes) -> SniffedText | None:
    """The kind of text ``head`` begins with, None when it is not text."""
    text = _decode(head[:_LOOKED_AT])
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n")[:512].lower()
    if start.startswith(("<!doctype html", "<html")):
        return _WEB_PAGE
    if start.startswith(("<?xml", "<")):
        return SniffedText("xml", "XML text", "This is XML text, not a dump of a process.")
    if start.startswith(("{", "[")):
        return _json(text)
    return SniffedText("text", "Text", "This is a text file, not a dump of a process.")


def _json(text: str) -> SniffedText:
    if '"payload"' in text and '"protocol_version"' in text:
        return _CRASH_REPORT
    return SniffedText("json", "JSON text", "This is JSON text, not a dump of a process.")


def _decode(head: bytes) -> str | None:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        text = _latin(head)
    if not text:
        return None
    odd = sum(1 for character in text if character < " " and character not in "\t\n\r\f\x1b")
    return text if odd * 200 <= len(text) else None


def _latin(head: bytes) -> str:
    """Text of an eight-bit code page: almost all bytes printable ASCII; else ""."""
    printable = sum(1 for byte in head if 0x20 <= byte < 0x7F or byte in b"\t\n\r")
    return head.decode("latin-1") if printable >= 0.9 * len(head) else ""

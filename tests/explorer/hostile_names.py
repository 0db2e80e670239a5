"""Two hundred names that have broken something somewhere, each with a mark by which a file of that name would be found."""

# ruff: noqa: E501
from __future__ import annotations

MARK = "g19mark"

_PATHS = (
    "../{m}", "../../../../../../etc/{m}", "..\\..\\{m}", "/etc/{m}", "/{m}", "//server/share/{m}", "C:\\Windows\\{m}", "C:{m}", "\\\\?\\C:\\{m}",
    "~/{m}", "~root/{m}", "file:///etc/{m}", "./{m}", "{m}/.", "{m}/..", "{m}/../../x", "a/../../{m}", "....//....//{m}", "..%2f..%2f{m}",
    "%2e%2e/{m}", "..%c0%af{m}", "..;/{m}", "${{HOME}}/{m}", "$(touch {m})", "`touch {m}`", "; touch {m}", "| touch {m}", "& touch {m} &",
    "{m}\n../x", "-{m}", "--{m}=x", "-rf {m}", "*{m}*", "?{m}", "[{m}]", "{{{m},x}}", "!{m}", "#{m}", "'{m}'", '"{m}"', "{m}\\",
)  # fmt: skip
_RESERVED = ("CON", "NUL", "AUX.txt", "COM1", "LPT9.dmp", ".", "..", "...", " . ", ".htaccess", ".git", "original", "unpacked", "deleted",
             "index-", "con.{m}", "{m}.", "{m} ", " {m}", "{m}:stream", "{m}::$DATA", "desktop.ini", "Thumbs.db", "null", "None", "0", "")  # fmt: skip
_MARKUP = (
    "<script>alert('{m}')</script>", "\"><img src=x onerror=alert(1)>{m}", "'onmouseover='alert(1)'{m}", "javascript:alert(1)//{m}",
    "<svg/onload=alert(1)>{m}", "</title><script>{m}", "<!--{m}", "]]>{m}", "&lt;b&gt;{m}", "&#0;{m}", "{{{{ {m} }}}}", "{{% debug %}}{m}",
    "{{# {m} #}}", "<c-table {m}/>", "${{7*7}}{m}", "<%= {m} %>", "%s%n{m}", "{m}%00", "{m}\\u0000", "a\" hx-get=\"/{m}", "$\\href{{x}}{m}",
    "' OR 1=1 --{m}", "\"; DROP TABLE explorer_dump; --{m}", "{m}\"; filename=\"x.exe", "{m}\r\nSet-Cookie: x=1", "{m}\r\n\r\n<html>", "{m};x", "{m},x",
)  # fmt: skip
_FORMULAS = (
    "={m}",
    "=cmd|'/c {m}'!A1",
    "+{m}",
    "-{m}+1",
    "@SUM({m})",
    "\t={m}",
    "\r={m}",
    '=HYPERLINK("http://x","{m}")',
    "%0a={m}",
    ";={m}",
)
_UNICODE = (
    "e\u0301{m}", "\u00e9{m}", "\u212b{m}", "A\u030a{m}", "\ufb00{m}", "\uff0e\uff0e\uff0f{m}", "\u2024\u2024/{m}", "\u2215etc\u2215{m}", "\u1e9e{m}",
    "I\u0307{m}", "\u0131{m}", "\u03c2{m}", "Z" + "\u0301" * 300 + "{m}", "\U0001f4a9{m}", "\U0001f468\u200d\U0001f469{m}", "\u4f60\u597d{m}",
    "\u0645\u0631\u062d\u0628\u0627{m}", "\u0e01\u0e33{m}", "\U000e0041{m}", "\ufffd{m}", "\uffff{m}", "\U0010ffff{m}", "\ue000{m}",
)  # fmt: skip
_INVISIBLE = tuple(
    f"in{chr(point)}side {{m}}"
    for point in (*range(32), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F),
                  *range(0x2060, 0x206A), 0xFEFF, 0xFFF9)
)  # fmt: skip
_LONG = (
    "{m}" + "a" * 300,
    "{m}" + "b" * 10_240,
    "c/" * 3000 + "{m}",
    "{m}" + "\U0001f4a9" * 400,
    "{m}" + "\u0301" * 400,
    "{m} " * 200,
)

_ALL = [template.format(m=MARK) for template in (*_PATHS, *_RESERVED, *_MARKUP, *_FORMULAS, *_UNICODE, *_INVISIBLE, *_LONG)]
HOSTILE_NAMES = list(dict.fromkeys(_ALL))

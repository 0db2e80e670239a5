"""What stands between a name and its value, in every ordinary way to write both."""

from __future__ import annotations

#: A quotation mark as it is, escaped in a string once or more, in HTML, in a URL, and as System.Text.Json writes it.
QUOTE = r"(?:\\{0,3}[\"'`]|&quot;|&#3[49];|%22|\\{1,3}u002[27])"
#: From the end of a name to the begin of its value, the opening quotation mark of the value left out.
BETWEEN = rf"(?:{QUOTE}?\s{{0,3}}(?::=|=>|[:=]|%3[DdAa])\s{{0,3}}|{QUOTE}\s{{1,3}}value\s?=\s?|>)"
#: The same with that mark, and with a comma between two quoted texts, for values that nobody takes for something else.
UP_TO_VALUE = rf"(?:{BETWEEN}|{QUOTE},\s{{0,3}}(?={QUOTE})){QUOTE}?"
#: Opening and closing marks of XML elements, as they are and escaped.
OPENS, CLOSES = r"(?:<|&lt;|\\{1,3}u003[Cc])", r"(?:>|&gt;|\\{1,3}u003[Ee])"

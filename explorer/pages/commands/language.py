"""The language of the command line: words, options with and without a value, addresses and numbers as SOS writes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from explorer.pages.commands.answer import Line
from explorer.pages.commands.session import Session
from explorer.pages.names import visible

_ADDRESS = re.compile(r"(0[xX])?[0-9a-fA-F]{1,16}")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,18}")
_LONGEST_LINE = 2000


class CommandError(Exception):
    """A command that cannot be answered; the text says why and what would be understood."""


@dataclass(frozen=True, slots=True)
class Option:
    """``-name VALUE``, or a flag where ``value`` is empty."""

    name: str
    value: str
    about: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how it is written, what it answers, and the function that does so.

    ``arguments`` names what follows the options, in brackets where it may be left out; ``differs`` says in which way the
    answer is not the one of SOS.
    """

    name: str
    about: str
    answer: Callable[[Session, Arguments], Iterator[Line]]
    arguments: str = ""
    options: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    differs: str = ""

    @property
    def usage(self) -> str:
        words = [self.name, *(f"[-{one.name}{f' {one.value}' if one.value else ''}]" for one in self.options), self.arguments]
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What followed the name of a command."""

    values: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        return name in self.values

    def number(self, name: str) -> int | None:
        """A size or count, decimal or with 0x; None where the option is not given."""
        text = self.values.get(name)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text):
            raise CommandError(f"-{name} takes a number such as 85000 or 0x14c08, not {visible(text, 40)}.")
        return int(text, 0) if text[:2].lower() == "0x" else int(text)

    def hexadecimal(self, name: str) -> int | None:
        """An address given as an option; None where it is not given."""
        return parsed_address(self.values[name]) if name in self.values else None

    def address(self, place: int = 0) -> int:
        """The address in the words that follow."""
        if place >= len(self.words):
            raise CommandError("An address is missing, such as 7f36d7c996b0.")
        return parsed_address(self.words[place])


def parsed_address(text: str) -> int:
    """``7f36d7c996b0``, ``0x7f36d7c996b0`` or ``00007f36`d7c996b0``."""
    plain = text.replace("`", "")
    if not _ADDRESS.fullmatch(plain):
        raise CommandError(f"{visible(text, 40)} is no address: it takes hexadecimal digits such as 7f36d7c996b0.")
    return int(plain, 16)


def split(line: str) -> list[str]:
    """The words of a line; what stands in quotes is one. A leading ``!``, ``>`` or ``sos`` of other tools is left out."""
    if len(line) > _LONGEST_LINE:
        raise CommandError(f"A command has at most {_LONGEST_LINE:,} characters.")
    try:
        words = shlex.split(line.strip().lstrip("!>").strip())
    except ValueError:
        raise CommandError("A quotation mark has no partner.") from None
    return words[1:] if words and words[0].lower() == "sos" else words


def parse(command: Command, words: list[str]) -> Arguments:
    """Options and words of a command. Raises CommandError for what it does not know."""
    known = {one.name.lower(): one for one in command.options}
    values: dict[str, str] = {}
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-"):
            rest.append(word)
            continue
        option = known.get(word.lstrip("-").lower())
        if option is None:
            near = get_close_matches(word.lstrip("-").lower(), known, 1)
            instead = f" Did you mean -{known[near[0]].name}?" if near else ""
            raise CommandError(f"{command.name} knows no {visible(word, 40)}.{instead} It is written: {command.usage}")
        value = next(waiting, None) if option.value else ""
        if value is None:
            raise CommandError(f"-{option.name} needs a value: {option.about}.")
        values[option.name] = value
    if rest and not command.arguments:
        raise CommandError(f"{command.name} takes no {visible(rest[0], 40)}. It is written: {command.usage}")
    return Arguments(values, tuple(rest))

"""The everyday commands of SOS, answered from the index as text in SOS's columns, with links.

Values stay hidden: a command that shows texts or numbers in SOS shows their length or nothing here. To add a command,
write a function that yields lines and name it in the ``COMMANDS`` of its file.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from explorer.pages.commands import execution, heap, objects
from explorer.pages.commands.answer import Answer, Line, line
from explorer.pages.commands.language import Arguments, Command, CommandError, parse, split
from explorer.pages.commands.session import Session
from explorer.pages.names import visible

__all__ = ["COMMANDS", "Answer", "CommandError", "Session", "answer"]

_MOST_LINES_PER_ROW = 4


def answer(text: str, session: Session) -> Answer:
    """The answer to one line. Raises CommandError for what is not understood or not there."""
    words = split(text)
    if not words:
        raise CommandError("Write a command, such as dumpheap -stat; help lists them.")
    command = _find(words[0])
    most = session.most * _MOST_LINES_PER_ROW
    lines = tuple(islice(command.answer(session, parse(command, words[1:])), most + 1))
    return Answer(lines[:most], len(lines) > most)


def _find(word: str) -> Command:
    known = {name: one for one in COMMANDS for name in (one.name, *one.aliases)}
    found = known.get(word.lower())
    if found is None:
        near = get_close_matches(word.lower(), known, 1)
        instead = f" Did you mean {near[0]}?" if near else ""
        raise CommandError(f"There is no command {visible(word, 40)}.{instead} help lists them; SELECT … asks in SQL.")
    return found


def _help(session: Session, arguments: Arguments) -> Iterator[Line]:
    if not arguments.words:
        width = max(len(one.name) for one in COMMANDS)
        for one in COMMANDS:
            yield line(f"{one.name:<{width}}  {one.about}")
        yield line()
        yield line("help NAME tells the options of one.")
        return
    one = _find(arguments.words[0])
    yield line(one.about)
    yield line(f"  {one.usage}")
    for option in one.options:
        yield line(f"    {f'-{option.name} {option.value}':<18} {option.about}")
    if one.aliases:
        yield line(f"Also: {', '.join(one.aliases)}")
    if one.differs:
        yield line(f"Other than in SOS: {one.differs}")


COMMANDS: tuple[Command, ...] = (
    *heap.COMMANDS,
    *objects.COMMANDS,
    *execution.COMMANDS,
    Command("help", "what can be asked", _help, "[NAME]", aliases=("soshelp", "?")),
)

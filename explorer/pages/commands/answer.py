"""An answer: lines of text in which names and addresses are links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from explorer.pages.references import Piece

Line = tuple[Piece, ...]
Cell = str | Piece


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines; ``cut`` says that there would have been more."""

    lines: tuple[Line, ...]
    cut: bool = False

    @property
    def text(self) -> str:
        return "".join("".join(piece.text for piece in line) + "\n" for line in self.lines)


def line(*cells: Cell) -> Line:
    """A line of words and links."""
    return tuple(cell if isinstance(cell, Piece) else Piece(cell) for cell in cells)


def columns(header: Sequence[str], rows: Iterable[Sequence[Cell]], left: Sequence[int] = (-1,)) -> Iterator[Line]:
    """Rows below a header, each column as wide as its widest cell; to the right, but those in ``left`` (-1: the last one)."""
    cells = [[Piece(head) for head in header], *([line(cell)[0] for cell in row] for row in rows)]
    widths = [max(len(row[place].text) for row in cells) for place in range(len(header))]
    to_the_left = {place % len(header) for place in left}
    for row in cells:
        yield tuple(_joined(row, widths, to_the_left))


def _joined(row: Sequence[Piece], widths: Sequence[int], left: set[int]) -> Iterator[Piece]:
    """The cells of a row with the spaces between them; those that lead nowhere are one piece with their neighbours."""
    words = ""
    for place, cell in enumerate(row):
        space = " " * (widths[place] - len(cell.text))
        words += (" " if place else "") + ("" if place in left else space)
        if cell.url:
            if words:
                yield Piece(words)
            yield cell
            words = ""
        else:
            words += cell.text
        words += space if place in left else ""
    if words.strip():
        yield Piece(words.rstrip())

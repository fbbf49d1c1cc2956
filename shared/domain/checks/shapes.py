"""The fast look at a good block: by the shapes of its rows instead of cell by cell.

A row's shape is the row with its digits erased. What is left of a table of numbers is a handful of shapes, and two
passes of `bytes.translate` and `Counter` in C find them sooner than a parser splits the rows into cells. The shape
`,.,\\1.,benign,` says: two numbers, the second with a minus, and the text `benign`. Erasing must not make a wrong cell
look like a right one, so cells are marked first: the missing ones, a minus in front, a point at the end, an exponent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from shared.domain.checks.columns import EXPONENT, MINUS, MISSING

_POINT = b"\2"
_MARKS = (MISSING, MINUS, _POINT, EXPONENT)
#: after a digit, or a digit and a point; it begins with a set of bytes, which `re` looks for fastest
_EXPONENT = re.compile(rb"[eE](?:(?<=[0-9].)|(?<=[0-9]\..))[-+]?[0-9]+(?=[,\t])")
_MAY_HAVE_EXPONENT = re.compile(rb"[,\t.\x01][eE][-+]?[,\t]")


class Block:
    """Whole lines without a fault in their form: each of them a row with the same number of cells."""

    def __init__(self, plain: bytes, separator: bytes, width: int, shapes: Counter[bytes]) -> None:
        self._plain, self._separator, self._width = plain, separator, width
        self.counts = list(shapes.values())
        self.rows = sum(self.counts)
        split = [shape.split(separator) for shape in shapes]
        #: the cells' shapes by column, one for each shape of a row; None where a row has another number of cells
        self.shapes = [*zip(*split, strict=True)][1:-1] if {*map(len, split)} == {width + 2} else None

    def cells(self, column: int) -> list[str]:
        return self._flat[1 + column : -1 : self._width]

    def row(self, index: int) -> Sequence[str]:
        return self._lines[index].decode().split(self._separator.decode())[1:-1]

    @cached_property
    def _flat(self) -> list[str]:
        separator = self._separator
        return (
            self._plain.replace(separator + b"\n" + separator, separator)
            .decode()
            .rstrip("\n")
            .split(separator.decode())
        )

    @cached_property
    def _lines(self) -> list[bytes]:
        return self._plain.split(b"\n")


def look(lines: bytes, separator: bytes, width: int, missing: Sequence[bytes]) -> Block | None:
    """Return the block, or None where it has to be parsed, as a row is not like the others.

    `lines` end in LF each. `missing` stands for a missing cell.
    """
    if any(mark in lines for mark in _MARKS):
        return None
    # With a separator around each cell, whatever begins or ends a cell is found in one search.
    plain = separator + lines.replace(b"\n", separator + b"\n" + separator)[: -len(separator)]
    for text in missing:
        plain = _emptied(plain, separator + text + separator, separator)
    marked = _marked(plain, separator)
    erased = _erased(marked)
    shapes = Counter(erased)
    alone = MINUS + separator
    if any(alone in shape for shape in shapes) and alone in marked:
        # Not -5 but a minus that is all of the cell, which is no number.
        marked = marked.replace(alone, b"-" + separator)
        erased = _erased(marked)
        shapes = Counter(erased)
    if again := {shape for shape in shapes if _MAY_HAVE_EXPONENT.search(shape)}:
        whole = marked.split(b"\n")
        some = b"\n".join([whole[index] for index, shape in enumerate(erased) if shape in again])
        for shape in again:
            del shapes[shape]
        shapes.update(_erased(_EXPONENT.sub(EXPONENT, some)))
    del shapes[b""]
    block = Block(plain, separator, width, shapes)
    if block.shapes is None or (width == 1 and MISSING in block.shapes[0]):
        return None  # in a table of one column a blank line is no missing cell
    return block


def _erased(marked: bytes) -> list[bytes]:
    return marked.translate(None, b"0123456789").split(b"\n")


def _marked(plain: bytes, separator: bytes) -> bytes:
    empty = separator * 2
    if empty in plain:
        # Twice, as two missing cells share a separator; line by line, as most have none to replace.
        missing = separator + MISSING + separator
        lines = plain.split(b"\n")
        plain = b"\n".join(
            [line.replace(empty, missing).replace(empty, missing) if empty in line else line for line in lines]
        )
    if b"-" in plain:
        plain = plain.replace(separator + b"-", separator + MINUS)
    point = b"." + separator
    if point in plain:
        plain = plain.replace(point, _POINT + separator)
    return plain


def _emptied(plain: bytes, cell: bytes, separator: bytes) -> bytes:
    if cell in plain:
        plain = plain.replace(cell, separator * 2).replace(cell, separator * 2)
    return plain

"""A table as it streams by: its names first, then its rows in blocks of whole lines."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.domain.table import arff, encoding
from shared.domain.table.form import CELL_AT_MOST, COLUMNS_AT_MOST, ROW_AT_MOST, Form, Unreadable, named
from shared.domain.table.grid import Grid, find
from shared.domain.table.lines import Lines
from shared.domain.table.plain import plain

PIECE = 512 << 10  #: bytes looked at as one block, however the chunks come
_EXCELS_FIRST_LINE = re.compile(rb'(?i)"?sep=."?\s*')


class Row(NamedTuple):
    """`number` is its first line in the file; `raw` are its bytes there. A blank line has no cells."""

    number: int
    cells: list[str]
    raw: bytes


class Block(NamedTuple):
    """Whole rows from line `number` on, in one of three ways: `grid`, `plain` or `rows`. See `Table.rows_of`."""

    number: int
    lines: bytes
    rows: Sequence[Row] = ()  #: when they had to be parsed
    plain: bytes | None = None  #: the lines, each ended by LF, when their cells are what is between the separators
    grid: Grid | None = None  #: of a large block


class Table:
    """Reads the names at once, and what follows by one of `blocks`, `rows` and `rest`. All raise `Unreadable`.

    Blocks of `grid_from` bytes and more come as grids where that can be; it takes NumPy.
    """

    def __init__(self, name: str, chunks: Iterable[bytes], piece: int = PIECE, grid_from: int = sys.maxsize) -> None:
        self.name, self.form = name, Form.of(name)
        self.names: list[str] = []
        self.attributes: list[arff.Attribute] = []  #: that an ARFF file declares
        self.header = Row(1, [], b"")  #: the row of names; the first row, if the file has none
        self._lines, self.grid_from = Lines(name, chunks, piece), grid_from
        self._data, self._number = b"", 1
        while not self.names:
            self._fill()
            self._drop(self._read_attributes() if self.form.arff else self._read_header())
            if not self.names and self._lines.ended:
                what = "has no line @data after its attributes" if self.attributes else "is empty"
                raise self._not_read_on or self._broken("empty", what)

    def blocks(self) -> Iterator[Block]:
        """Give what follows the names. What comes before a row that cannot be read is given all the same."""
        while True:
            block, broken = self._block()
            if block.lines:
                yield block
            self._drop(len(block.lines), block.grid.line_count if block.grid else None)
            if broken:
                raise broken
            if self._lines.ended:
                if self._not_read_on:
                    raise self._not_read_on
                return
            self._fill()

    def rows(self) -> Iterator[Row]:
        """Give the rows one by one, without the blank lines."""
        for block in self.blocks():
            yield from (row for row in self.rows_of(block) if row.cells)

    def full_rows(self) -> Iterator[list[str]]:
        """Give the cells of the rows, as many as there are names; another number raises `Unreadable`."""
        width = len(self.names)
        for row in self.rows():
            if len(row.cells) != width:
                message = f"{self.name}: line {row.number} has {len(row.cells)} values, its header {width}"
                raise Unreadable(message, "ragged row", row.number, row.raw)
            yield row.cells

    def rows_of(self, block: Block) -> Iterable[Row]:
        """Return the rows of a block, with its blank lines."""
        if block.plain is not None and not self.form.arff:
            lines = zip(_split(block.lines), block.plain.decode().split("\n"), strict=False)
            return (
                Row(number, text.split(self.form.separator) if text else [], raw)
                for number, (raw, text) in enumerate(lines, block.number)
            )
        if block.plain is not None or block.grid is not None:
            return self._parsed(block.lines, block.number, True)[0]
        return block.rows

    def cells_of(self, row: bytes) -> list[str]:
        """Return the cells of one row of a grid."""
        text, separator = row.decode(), self.form.separator
        return next(csv.reader([text], delimiter=separator, strict=True)) if '"' in text else text.split(separator)

    def rest(self) -> Iterator[bytes]:
        """Give the lines after the names as they are in the file."""
        while True:
            if self._data:
                yield self._data
            self._drop(len(self._data))
            if self._lines.ended:
                break
            self._fill()
        if self._not_read_on:
            raise self._not_read_on

    @property
    def _not_read_on(self) -> Unreadable | None:
        """Return why what follows the lines at hand cannot be read."""
        broken = self._lines.broken
        return broken(self._number + self._data.count(b"\n")) if broken else None

    def _block(self) -> tuple[Block, Unreadable | None]:
        """Return what can be said of the data at hand: an open quote leaves some of it for later."""
        if len(self._data) >= max(1, self.grid_from) and (grid := find(self._data, self.form, len(self.names))):
            taken = min(len(grid.lines), len(self._data))
            if taken == len(self._data) or not self._last:
                return Block(self._number, self._data[:taken], grid=grid), None
        lines = plain(self._data, self.form) if self._data else b""
        if lines is not None:
            return Block(self._number, self._data, plain=lines), None
        rows, broken = self._parsed(self._data, self._number, self._last)
        taken = sum(len(row.raw) for row in rows)
        return Block(self._number, self._data[:taken], rows), broken

    @property
    def _last(self) -> bool:
        return self._lines.ended and self._lines.broken is None

    def _fill(self) -> None:
        """Take in as much again, at least: what an open quote leaves is parsed twice and not once for each piece."""
        parts, size = [self._data] if self._data else [], len(self._data)
        while not self._lines.ended and size <= 2 * len(self._data):
            parts.append(self._lines.next())
            size += len(parts[-1])
        self._data = b"".join(parts)

    def _drop(self, size: int, lines: int | None = None) -> None:
        self._number += self._data.count(b"\n", 0, size) if lines is None else lines
        self._data = self._data[size:]

    def _read_header(self) -> int:
        """Find the names; return how many bytes were used up."""
        taken = 0
        for row in self._csv_rows(self._data, self._number, self._last):
            if row.cells:
                self._check_header(row)
                self.header = row
                self.names = named([""] * len(row.cells) if self.form.headless else row.cells)
                return taken + (0 if self.form.headless else len(row.raw))
            taken += len(row.raw)
        return taken

    def _check_header(self, row: Row) -> None:
        if row.raw.startswith(encoding.BOM):
            # At the start of the joined table it would be that table's mark, and here it is a part of a name or cell.
            message = f"has a byte order mark in line {row.number} that is not the start of the file; delete it"
            raise self._broken("encoding", message, row.number, row.raw)
        if _EXCELS_FIRST_LINE.fullmatch(row.raw):
            message = f"begins with Excel's line {row.raw.decode().strip()!r}, which is not a row; delete that line"
            raise self._broken("syntax", message, row.number, row.raw)
        if len(row.cells) == 1 and not row.cells[0].strip() and row.cells[0]:
            message = f"is empty, or its line {row.number} has nothing but spaces where its header should be; delete it"
            raise self._broken("empty", message, row.number, row.raw)
        if len(row.cells) > COLUMNS_AT_MOST:
            raise self._too_wide(len(row.cells), row.number, row.raw)

    def _read_attributes(self) -> int:
        taken = 0
        for number, line in enumerate(_split(self._data), self._number):
            taken += len(line)
            text = line.decode()
            if arff.is_data(text):
                if not self.attributes:
                    raise self._broken("syntax", f"has no @attribute before line {number}, @data", number, line)
                self.header = Row(number, [], line)
                self.names = named([attribute.name for attribute in self.attributes])
                break
            try:
                attribute = arff.read_attribute(text)
            except ValueError as error:
                raise self._not_arff(number, error, line) from None
            self.attributes += [attribute] if attribute else []
            if len(self.attributes) > COLUMNS_AT_MOST:
                raise self._too_wide(len(self.attributes), number, line)
        return taken

    def _parsed(self, lines: bytes, number: int, last: bool) -> tuple[list[Row], Unreadable | None]:
        """Return the rows up to one that cannot be read, and why not."""
        rows: list[Row] = []
        try:
            for row in self._arff_rows(lines, number) if self.form.arff else self._csv_rows(lines, number, last):
                rows.append(row)
        except Unreadable as error:
            return rows, error
        return rows, None

    def _csv_rows(self, block: bytes, first: int, last: bool) -> Iterator[Row]:
        """Give the rows; unless it is the last of the file a block may end within one."""
        lines = _split(block)
        exhausted = False

        def texts() -> Iterator[str]:
            nonlocal exhausted
            for line in lines:
                yield line.decode()
            exhausted = True

        csv.field_size_limit(CELL_AT_MOST)  # SciPy's reader of ARFF, for one, takes the limit off for the whole process
        reader = csv.reader(texts(), delimiter=self.form.separator, strict=True)
        done = 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                rest = b"".join(lines[done:])
                if not exhausted or last:
                    message = (
                        f"is not a CSV table: {_why(error, exhausted)}, in the row that begins in line {first + done}"
                    )
                    raise self._broken("syntax", message, first + done, rest[:1000].partition(b"\n")[0]) from None
                if len(rest) > ROW_AT_MOST:
                    raise self._too_long(first + done, rest) from None
                return
            if cells is None:
                return
            alone = reader.line_num == done + 1
            row = Row(first + done, cells, lines[done] if alone else b"".join(lines[done : reader.line_num]))
            if len(row.raw) > ROW_AT_MOST:
                raise self._too_long(row.number, row.raw)
            yield row
            done = reader.line_num

    def _arff_rows(self, block: bytes, first: int) -> Iterator[Row]:
        for number, line in enumerate(_split(block), first):
            try:
                yield Row(number, arff.read_cells(line.decode()) or [], line)
            except ValueError as error:
                raise self._not_arff(number, error, line) from None

    def _not_arff(self, number: int, error: ValueError, line: bytes) -> Unreadable:
        return self._broken("syntax", f"is not an ARFF table: line {number}: {error}", number, line)

    def _too_long(self, number: int, raw: bytes) -> Unreadable:
        message = (
            f"the row that begins in line {number} is longer than {ROW_AT_MOST >> 20} MiB; is a quote in it not closed?"
        )
        return self._broken("too large", message, number, raw)

    def _too_wide(self, columns: int, number: int, raw: bytes) -> Unreadable:
        message = (
            f"has {columns:,} columns or more, and at most {COLUMNS_AT_MOST:,} are read; are its rows its columns?"
        )
        return self._broken("too large", message, number, raw)

    def _broken(self, kind: str, message: str, number: int | None = None, line: bytes | None = None) -> Unreadable:
        return Unreadable(f"{self.name} {message}", kind, number, line)


def _split(block: bytes) -> list[bytes]:
    """Return the lines with their ends; only LF ends one."""
    return io.BytesIO(block).readlines()


def _why(error: csv.Error, exhausted: bool) -> str:
    if exhausted:
        return "a quote is opened and never closed"
    if "expected after" in str(error):
        return "a quote ends before its cell does (a quote within quotes is written twice)"
    if "field limit" in str(error):
        return f"a cell is longer than {CELL_AT_MOST:,} characters (is a quote in it not closed?)"
    if "new-line" in str(error):
        return "a line ends in CR alone; end lines in LF or CR LF"
    return str(error)

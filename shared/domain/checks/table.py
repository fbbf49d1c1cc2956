"""A table as it streams by: bytes to lines, lines to rows, and where exactly the form is broken.

A block of whole lines is looked at by its shapes first (`shapes.py`); only one that is not as good as it looks is
parsed, with the csv module of the standard library or as ARFF, and its faults get their line and cell.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from shared.domain.checks import arff, encoding
from shared.domain.checks.columns import ColumnCheck
from shared.domain.checks.drift import Sample
from shared.domain.checks.duplicates import Duplicates
from shared.domain.checks.header import fitted
from shared.domain.checks.report import Fault, Kind, cut
from shared.domain.checks.rules import Checks, Column
from shared.domain.checks.shapes import look

EXTENSIONS = (".csv", ".tsv", ".arff", ".nh.csv", ".nh.tsv")
_LINES_WITH_A_WORD = 1000  #: of a block that are looked at for the columns with a word for missing cells
LONGEST = 4 << 20  #: bytes of a row; what is longer has no line ends or a quote that is not closed


class Unreadable(Exception):
    """The table cannot be read on."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.start = 0  #: of its line in the block


class Table:
    """Takes a file's bytes in by `feed`; afterwards it knows its rows, columns and faults."""

    def __init__(self, name: str, checks: Checks, inputs: Sequence[str] = ()) -> None:
        self.name, self.checks, self._inputs = name, checks, inputs
        lower = name.lower()
        self._arff, self._headless = lower.endswith(".arff"), lower.endswith((".nh.csv", ".nh.tsv"))
        self._separator = "\t" if lower.endswith(".tsv") else ","
        self._missing = {*checks.missing, *(["?"] if self._arff else [])}
        self.columns: list[ColumnCheck] = []
        self.names: list[str] = []
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.rows = 0
        self.ragged = 0
        self.first_ragged: Fault | None = None
        self.duplicates = Duplicates() if checks.duplicates_at_most is not None else None
        self.sample = Sample(0)
        self._declared: list[Column] = []
        self._rest, self._line, self._offset = b"", 1, 0
        self._begun = self._blank = False

    def feed(self, piece: bytes, last: bool) -> None:
        """Take the next bytes in. Raises `Unreadable`.

        Pieces should be of one size, as it is them that are looked at as one block.
        """
        data = self._rest + piece
        if not self._begun:
            if (name := encoding.named(data[:4096])) is not None:
                raise self._broken(Kind.ENCODING, f"is not UTF-8 text: it is {name}; save it as UTF-8 text")
            if data.startswith(encoding.BOM):
                data, self._offset = data[len(encoding.BOM) :], len(encoding.BOM)
            self._begun = True
        end = len(data) if last else data.rfind(b"\n") + 1
        block = data[:end]
        broken = self._unreadable(block)
        if broken:
            # What comes before is checked all the same.
            block, last = block[: broken.start], False
        taken = self._head(block, last) if not self.columns else 0
        if self.columns and taken < len(block):
            taken += self._body(block[taken:], last)
        if broken:
            raise broken
        self._rest = data[taken:]
        self._offset += taken
        if len(self._rest) > LONGEST:
            told = f"line {self._line} is longer than {LONGEST >> 20} MiB; are its line ends missing?"
            raise self._broken(Kind.SYNTAX, told, self._line, self._rest)
        if last and not self.columns:
            what = "has no line @data after its attributes" if self._declared else "is empty"
            raise self._broken(Kind.EMPTY, what)

    def _broken(self, kind: Kind, told: str, row: int | None = None, line: bytes | None = None) -> Unreadable:
        return Unreadable(self._fault(kind, told, row, line))

    def _fault(
        self, kind: Kind, told: str, row: int | None = None, line: bytes | None = None, column: str | None = None
    ) -> Fault:
        shown = None if line is None else cut(line[:1000].decode(errors="replace"))
        return Fault(kind=kind, message=f"{self.name} {told}", row=row, line=shown, column=column)

    def _unreadable(self, block: bytes) -> Unreadable | None:
        """Return what is no text in the block, and where its line starts."""
        at = block.find(0)
        try:
            (block if at < 0 else block[:at]).decode()
        except UnicodeDecodeError as error:
            at = error.start
        if at < 0:
            return None
        start = block.rfind(b"\n", 0, at) + 1
        line = block[start : at + 200].partition(b"\n")[0]
        row = self._line + block.count(b"\n", 0, at)
        told = f"is not UTF-8 text: byte {self._offset + at} is 0x{block[at]:02x}, in line {row}"
        why = encoding.guess(block[start : start + 4096], block[at]) if block[at] else "no text has that"
        broken = self._broken(Kind.ENCODING, f"{told} ({why}); save it as UTF-8", row, line)
        broken.start = start
        return broken

    def _head(self, block: bytes, last: bool) -> int:
        """Find the columns in the first lines; return how many bytes were used up."""
        taken = 0
        for line in _lines(block):
            text = line.decode()
            if self._arff:
                taken += len(line)
                self._line += 1
                if arff.is_data(text):
                    self._set_columns([column.name for column in self._declared], line)
                    return taken
                try:
                    column = arff.read_attribute(text)
                except ValueError as error:
                    row = self._line - 1
                    told = f"is not an ARFF table: line {row}: {error}"
                    raise self._broken(Kind.SYNTAX, told, row, line) from None
                self._declared += [column] if column else []
            elif text.strip():
                for length, cells, _ in self._parsed(block[taken:], last):
                    self._set_columns([cell.strip() for cell in cells], block[taken : taken + length])
                    if self._headless:
                        return taken
                    self._line += block.count(b"\n", taken, taken + length)
                    return taken + length
                return taken  # its quotes go on in the next block
            else:
                taken += len(line)
                self._line += 1
        return taken

    def _set_columns(self, header: list[str], line: bytes) -> None:
        shown = cut(line[:1000].decode(errors="replace"))
        fit = fitted(self.name, header, self.checks, self._headless, self._line, shown, self._inputs)
        self.names, self.notes = fit.names, fit.notes
        self.faults += fit.faults
        rules = {column.name: column for column in self._declared} | {c.name: c for c in self.checks.columns}
        self.columns = [
            ColumnCheck(rules.get(name, Column(name=name)), name == self.checks.label) for name in self.names
        ]
        self.sample = Sample(len(self.columns))

    def _body(self, block: bytes, last: bool) -> int:
        """Check the rows of whole lines; return how many bytes were used up: an open quote leaves some for later."""
        lines = block.replace(b"\r\n", b"\n") if b"\r" in block else block
        lines = lines if lines.endswith(b"\n") else lines + b"\n"
        special = self._arff and any(mark in lines for mark in (b"'", b'"', b"%", b"{"))
        missing = [text.encode() for text in self._missing]
        separator = self._separator.encode()
        seen = None if special else look(lines, separator, len(self.columns), missing)
        if seen is None or seen.shapes is None:
            return self._parse(block, last)
        numbers = range(self._line, self._line + seen.rows)
        for index, (column, shapes) in enumerate(zip(self.columns, seen.shapes, strict=True)):
            if not column.by_shape(shapes, seen.counts):
                self._by_cell(column, seen.cells(index), numbers, lambda row: lines.split(b"\n")[row - self._line])
        self._note_words(lines, separator)
        self.sample.offer(seen.rows, seen.row)
        if self.duplicates:
            self.duplicates.add(lines[:-1].split(b"\n"))
        self.rows += seen.rows
        self._line += seen.rows
        return len(block)

    def _note_words(self, lines: bytes, separator: bytes) -> None:
        """Note which columns have a word for a missing cell, in the first of the lines that have one."""
        for word in self.checks.missing:
            if word and (text := word.encode()) in lines:
                found = (line for line in lines.split(b"\n") if text in line)
                for line in islice(found, _LINES_WITH_A_WORD):
                    for column, cell in zip(self.columns, line.split(separator), strict=False):
                        column.words |= {word} if cell.strip(b' "') == text else set()

    def _by_cell(
        self, column: ColumnCheck, cells: Sequence[str], numbers: Sequence[int], line: Callable[[int], bytes]
    ) -> None:
        known = column.first is not None
        column.by_cell(cells, numbers)
        if column.first and not known:
            row, cell = column.first
            name = column.rule.name
            told = f"line {row}, column {name!r} is {cut(cell)!r}, and {column.right} was expected{column.hint(cell)}"
            column.fault = self._fault(Kind.TYPE, told, row, line(row), name)

    def _parse(self, block: bytes, last: bool) -> int:
        """Check the rows one by one."""
        width, taken, line = len(self.columns), 0, self._line
        rows: list[list[str]] = []
        numbers: list[int] = []
        raw: dict[int, bytes] = {}
        try:
            for length, cells, number in self._parsed(block, last):
                text = block[taken : taken + length]
                taken += length
                line = number + text.count(b"\n")
                if not cells:
                    continue
                self.rows += 1
                raw[number] = text.rstrip(b"\r\n")
                if len(cells) != width:
                    self._count_ragged(number, len(cells), text)
                    continue
                for column, cell in zip(self.columns, cells, strict=True) if self.checks.missing else ():
                    column.words |= {bare} if (bare := cell.strip(" ")) in self.checks.missing and bare else set()
                rows.append(["" if (bare := cell.strip(" ")) in self._missing else bare for cell in cells])
                numbers.append(number)
        finally:
            # The rows before one that cannot be parsed are checked all the same.
            for column, stripped in zip(self.columns, zip(*rows, strict=True), strict=False):
                self._by_cell(column, stripped, numbers, raw.__getitem__)
            self.sample.offer(len(rows), rows.__getitem__)
            if self.duplicates:
                self.duplicates.add(raw.values())
        self._line = line
        return taken

    def _count_ragged(self, row: int, values: int, text: bytes) -> None:
        self.ragged += 1
        if self.first_ragged:
            return
        shown = cut(text[:1000].decode(errors="replace"))
        told = f"line {row} has {values} values where the header has {len(self.columns)}: {shown}"
        self.first_ragged = self._fault(Kind.RAGGED_ROW, told, row, text)

    def _parsed(self, block: bytes, last: bool) -> Iterator[tuple[int, list[str], int]]:
        """Give each row's length in bytes, its cells (none for a blank line) and the number of its first line."""
        if self._arff:
            yield from self._parsed_arff(block)
            return
        lines = _lines(block)
        sizes: list[int] = []
        ended = False

        def texts() -> Iterator[str]:
            nonlocal ended
            for line in lines:
                sizes.append(len(line))
                yield line.decode()
            ended = True

        reader = csv.reader(texts(), delimiter=self._separator, strict=True)
        done = 0
        while True:
            number = self._line + done
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if ended and not last:
                    return
                told = f"is not a CSV table: {self._why(error, ended)}, in the row that begins in line {number}"
                start = sum(sizes[:done])
                raise self._broken(Kind.SYNTAX, told, number, block[start : start + 1000].partition(b"\n")[0]) from None
            if cells is None:
                return
            yield sum(sizes[done : reader.line_num]), cells, number
            done = reader.line_num

    def _why(self, error: csv.Error, ended: bool) -> str:
        if ended:
            return "a quote is opened and never closed"
        if "expected after" in str(error):
            return "a quote ends before its cell does (a quote within quotes is written twice)"
        if "field limit" in str(error):
            return f"a cell is longer than {csv.field_size_limit():,} characters (is a quote in it not closed?)"
        if "new-line" in str(error):
            return "a line ends in CR alone; end lines in LF or CR LF"
        return str(error)

    def _parsed_arff(self, block: bytes) -> Iterator[tuple[int, list[str], int]]:
        for number, line in enumerate(_lines(block), self._line):
            text = line.decode().strip()
            if not text or text.startswith("%"):
                yield len(line), [], number
                continue
            try:
                if text.startswith("{"):
                    raise ValueError("a sparse row is not read; write all of its values")
                yield len(line), arff.split(text), number
            except ValueError as error:
                told = f"is not an ARFF table: line {number}: {error}"
                raise self._broken(Kind.SYNTAX, told, number, line) from None


def _lines(block: bytes) -> Iterator[bytes]:
    """Give the lines with their ends; only LF ends one."""
    start = 0
    while start < len(block):
        end = block.find(b"\n", start) + 1 or len(block)
        yield block[start:end]
        start = end

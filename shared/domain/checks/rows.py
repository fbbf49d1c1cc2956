"""The rows of a table against the rules, block by block.

A block of plain lines is looked at by its shapes first (`shapes.py`); only what is not as good as it looks is looked at
cell by cell, and its faults get their line and cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from shared.domain.checks.columns import ColumnCheck
from shared.domain.checks.drift import Sample
from shared.domain.checks.duplicates import Duplicates
from shared.domain.checks.header import fitted
from shared.domain.checks.report import Fault, Kind
from shared.domain.checks.rules import Checks, Column, Type
from shared.domain.checks.shapes import look
from shared.domain.table import Block, Row, Table
from shared.domain.table.form import cut, shown

_LINES_WITH_A_WORD = 1000  #: of a block that are looked at for the columns with a word for missing cells


class RowChecks:
    """Takes a table's blocks in; afterwards it knows its rows, columns and faults."""

    def __init__(self, table: Table, checks: Checks, inputs: Sequence[str] = ()) -> None:
        self._table = table
        fit = fitted(table, checks, inputs)
        self.faults, self.notes = fit.faults, fit.notes
        self.rows = 0
        self.ragged = 0
        self.first_ragged: Fault | None = None
        declared = {each.name: each for each in table.attributes}
        rules = {name: _rule_of(each.type, each.values, name) for name, each in declared.items()}
        rules |= {column.name: column for column in checks.columns}
        self.columns = [ColumnCheck(rules.get(name, Column(name=name)), name == checks.label) for name in fit.names]
        self.duplicates = Duplicates() if checks.duplicates_at_most is not None else None
        self.sample = Sample(len(self.columns))
        self._missing = frozenset(checks.missing)
        marks = {*checks.missing, *(["?"] if table.form.arff else [])}
        self._missing_marks = [text.encode() for text in marks]

    def take(self, block: Block) -> None:
        """Check the rows of a block."""
        separator = self._table.form.separator.encode()
        seen = look(block.plain, separator, len(self.columns), self._missing_marks) if block.plain else None
        if seen is None or seen.shapes is None or block.plain is None:
            self._take_parsed(block)
            return
        numbers = range(block.number, block.number + seen.rows)
        lines = block.lines.replace(b"\r\n", b"\n").split(b"\n")
        for index, (column, shapes) in enumerate(zip(self.columns, seen.shapes, strict=True)):
            if not column.by_shape(shapes, seen.counts):
                self._by_cell(column, seen.cells(index), numbers, lambda row: lines[row - block.number])
        self._note_words(block.plain, separator)
        self.sample.offer(seen.rows, seen.row)
        if self.duplicates:
            self.duplicates.add(lines[: seen.rows])
        self.rows += seen.rows

    def found(self) -> Iterator[Fault]:
        """Give the faults of single rows and cells, each kind once with its first row."""
        if self.first_ragged:
            yield _counted(self.first_ragged, self.ragged, "row")
        for column in self.columns:
            if column.fault:
                yield _counted(column.fault, column.wrong, "cell")
            if column.twice:
                yield self._fault(Kind.SPACES, column.twice.told, column.twice.row, None, column.rule.name)

    def spaces(self) -> Iterator[str]:
        """Give what is worth knowing of spaces around cells."""
        spaced = [column for column in self.columns if column.spaced and not column.twice]
        if spaced:
            where = "{!r} ({:,}, the first in line {})"
            told = [where.format(each.rule.name, each.spaced, each.spaced_row) for each in spaced[:10]]
            more = f" and {len(spaced) - 10:,} more columns" if len(spaced) > 10 else ""
            yield (
                "cells begin or end with a space, which the training takes for a part of the text: "
                f"{', '.join(told)}{more}"
            )

    def _note_words(self, plain: bytes, separator: bytes) -> None:
        """Note which columns have a word for a missing cell, in the first of the lines that have one."""
        for word in self._missing:
            if word and (text := word.encode()) in plain:
                found = (line for line in plain.split(b"\n") if text in line)
                for line in islice(found, _LINES_WITH_A_WORD):
                    for column, cell in zip(self.columns, line.split(separator), strict=False):
                        column.words |= {word} if cell == text else set()

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

    def _take_parsed(self, block: Block) -> None:
        """Check the rows one by one."""
        width = len(self.columns)
        rows: list[list[str]] = []
        raw: dict[int, bytes] = {}
        good: list[int] = []
        for row in self._table.rows_of(block):
            if not row.cells:
                continue
            self.rows += 1
            raw[row.number] = row.raw.rstrip(b"\r\n")
            if len(row.cells) != width:
                self._count_ragged(row)
                continue
            for column, cell in zip(self.columns, row.cells, strict=True) if self._missing else ():
                column.words |= {cell} if cell and cell in self._missing else set()
            rows.append(["" if cell in self._missing else cell for cell in row.cells])
            good.append(row.number)
        for column, cells in zip(self.columns, zip(*rows, strict=True), strict=False):
            self._by_cell(column, cells, good, raw.__getitem__)
        self.sample.offer(len(rows), rows.__getitem__)
        if self.duplicates:
            self.duplicates.add(raw.values())

    def _count_ragged(self, row: Row) -> None:
        self.ragged += 1
        if self.first_ragged:
            return
        told = f"line {row.number} has {len(row.cells)} values where the header has {len(self.columns)}"
        told = f"{told}: {shown(row.raw)}"
        self.first_ragged = self._fault(Kind.RAGGED_ROW, told, row.number, row.raw)

    def _fault(self, kind: Kind, told: str, row: int, line: bytes | None, column: str | None = None) -> Fault:
        message = f"{self._table.name} {told}"
        return Fault(kind=kind, message=message, row=row, line=None if line is None else shown(line), column=column)


def _rule_of(kind: str | None, values: tuple[str, ...], name: str) -> Column:
    return Column(name=name, type=None if kind is None else Type(kind), values=values)


def _counted(fault: Fault, count: int, what: str) -> Fault:
    if count == 1:
        return fault
    told = f"{fault.message}; {count - 1:,} more {what}{'s' if count > 2 else ''} like this"
    return msgspec.structs.replace(fault, count=count, message=told)

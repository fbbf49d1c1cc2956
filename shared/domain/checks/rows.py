"""The rows of a table against the rules, block by block.

A large block of plain lines is looked at as a whole (`columnar.py`), and only those cells one by one that are not
surely good; another block is parsed. Both say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from shared.domain.checks.columnar import Cells, look
from shared.domain.checks.columns import ColumnCheck
from shared.domain.checks.drift import Sample
from shared.domain.checks.duplicates import Duplicates
from shared.domain.checks.header import fitted
from shared.domain.checks.report import Fault, Kind
from shared.domain.checks.rules import Checks, Column, Type
from shared.domain.table import Block, Row, Table
from shared.domain.table.form import cut, shown


class RowChecks:
    """Takes a table's blocks in; afterwards it knows its rows, columns and faults."""

    def __init__(self, table: Table, checks: Checks, inputs: Sequence[str] = (), columnar_from: int = 0) -> None:
        self._table, self._columnar_from = table, columnar_from
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
        cells = None
        if block.plain is not None and len(block.plain) >= self._columnar_from:
            cells = look(block.plain, self._table.form.separator.encode(), len(self.columns))
        if cells is None:
            self._take_parsed(block)
        else:
            self._take_cells(block, cells)

    def _take_cells(self, block: Block, cells: Cells) -> None:
        """Check the rows all at once, and one by one the cells that have to be seen."""
        for mark, places in cells.blank(self._missing_marks).items():
            for index in places:
                self.columns[index].words |= {mark.decode()} & self._missing
        spaced = {index: (rows, texts) for index, rows, texts in cells.spaced()}
        for index, (column, highest) in enumerate(zip(self.columns, cells.highest, strict=True)):
            column.missing += cells.missing[index]
            above = column.looked_at_above
            if above is not None and highest > above:
                rows, texts = cells.column(index, above)
                self._by_cell(column, texts, [block.number + row for row in rows], block.line)
            elif above is None and index in spaced:
                rows, texts = spaced[index]
                column.count_spaces(texts, [block.number + row for row in rows])
        self.sample.offer(cells.rows, cells.row)
        if self.duplicates:
            self.duplicates.add(block.lines.replace(b"\r\n", b"\n").split(b"\n")[: cells.rows])
        self.rows += cells.rows

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
        parsed = [row for row in self._table.rows_of(block) if row.cells]
        good = [row for row in parsed if len(row.cells) == width]
        if len(good) < len(parsed):
            for row in parsed:
                if len(row.cells) != width:
                    self._count_ragged(row)
        rows = [row.cells for row in good]
        if self._missing:
            self._note_words(rows)
            rows = [["" if cell in self._missing else cell for cell in cells] for cells in rows]
        numbers = [row.number for row in good]
        for column, cells in zip(self.columns, zip(*rows, strict=True), strict=False):
            self._by_cell(column, cells, numbers, lambda number: good[numbers.index(number)].raw)
        self.sample.offer(len(rows), rows.__getitem__)
        if self.duplicates:
            self.duplicates.add([row.raw.rstrip(b"\r\n") for row in parsed])
        self.rows += len(parsed)

    def _note_words(self, rows: list[list[str]]) -> None:
        for cells in rows:
            if not self._missing.isdisjoint(cells):
                for column, cell in zip(self.columns, cells, strict=True):
                    column.words |= {cell} & self._missing if cell else set()

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

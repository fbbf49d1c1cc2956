"""The rows of a table against the rules, block by block.

A large block that is regular is looked at as a whole (`columnar.py`), and only those cells one by one that are not
surely good; another block is parsed. Both say the same.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from shared.domain.checks.columnar import Cells, look
from shared.domain.checks.columns import CLASSES_AT_MOST, ColumnCheck
from shared.domain.checks.digests import digests_of
from shared.domain.checks.drift import Sample
from shared.domain.checks.duplicates import Duplicates
from shared.domain.checks.header import Header
from shared.domain.checks.report import Fault, Kind
from shared.domain.checks.rules import Checks, Column, Type
from shared.domain.table import Block, Row, Table
from shared.domain.table.form import cut, shown


class RowChecks:
    """Takes a table's blocks in; afterwards it knows its rows, columns and faults."""

    def __init__(self, table: Table, checks: Checks, inputs: Sequence[str] = ()) -> None:
        self._table = table
        header = Header(table, checks, inputs)
        self.faults, self.notes = header.faults, header.notes
        self.rows = 0
        self.ragged = 0
        self.first_ragged: Fault | None = None
        declared = {each.name: each for each in table.attributes}
        types = {name: Type(each.type) if each.type else None for name, each in declared.items()}
        rules = {name: Column(name=name, type=types[name], values=each.values) for name, each in declared.items()}
        rules |= {column.name: column for column in checks.columns}
        self.columns = [ColumnCheck(rules.get(name, Column(name=name)), name == checks.label) for name in header.names]
        self._typed = any(column.rule.type in (Type.NUMBER, Type.INTEGER) for column in self.columns)
        self.duplicates = Duplicates() if checks.duplicates_at_most is not None else None
        self._in_arrays: bool | None = None  #: whether the rows of all blocks are known by `digests.py`
        self.sample = Sample(len(self.columns))
        self._missing = frozenset(checks.missing)
        self._marks = self._missing | {"?"} if table.form.arff else self._missing

    def look(self, block: Block) -> tuple[Block, Cells | None]:
        """Return what can be said of a block whatever came before it; another thread than `take`'s may do so."""
        cells = look(block.grid, len(self.columns), self._marks) if block.grid else None
        if cells and self._typed:
            _ = cells.spelled
        return block, cells

    def take(self, block: Block, cells: Cells | None) -> None:
        """Check the rows of a block that was looked at; the blocks come in their order."""
        if self._in_arrays is None:
            self._in_arrays = len(block.lines) >= self._table.grid_from
        if cells is None:
            self._take_parsed(block)
        else:
            self._take_cells(block.number, cells)

    def _take_cells(self, first: int, cells: Cells) -> None:
        """Check the rows all at once, and one by one the cells that have to be seen."""
        for mark, places in cells.marked.items():
            for index in places:
                self.columns[index].words |= {mark} & self._missing
        texts: list[int] = []
        by_kind: dict[int, list[int]] = {}
        for index, (column, missing) in enumerate(zip(self.columns, cells.missing, strict=True)):
            column.missing += missing
            above = column.looked_at_above
            (texts if above is None else by_kind.setdefault(above, [])).append(index)
        for index, seen in cells.spaced(texts):
            numbers = [first + line for line in cells.lines_of(seen.rows)]
            self.columns[index].count_spaces(seen.cells, numbers, seen.counts)
        for above, indices in by_kind.items():
            once = {index for index in indices if self.columns[index].looked_at_once}
            for index, seen in cells.columns(indices, above, once):
                numbers = [first + line for line in cells.lines_of(seen.rows)]
                raw = _row_by_number(numbers, seen.rows, cells.raw)
                self._by_cell(self.columns[index], seen.cells, numbers, seen.counts, raw)
        self.sample.offer(cells.rows, cells.raw)
        if self.duplicates:
            if self._in_arrays:
                self.duplicates.add_digests(cells.digests())
            else:
                self.duplicates.add(cells.raw(range(cells.rows)))
        self.rows += cells.rows

    def sampled(self) -> list[Sequence[str]]:
        """Return the cells of the sampled rows, empty where missing."""
        rows = []
        for row in self.sample.rows:
            if isinstance(row, bytes):
                cells = self._table.cells_of(row)
                row = ["" if cell in self._marks else cell for cell in cells] if self._marks else cells
            rows.append(row)
        return rows

    def found(self) -> Iterator[Fault]:
        """Give the faults of single rows and cells, each kind once with its first row."""
        if self.first_ragged:
            yield _counted(self.first_ragged, self.ragged, "row")
        for column in self.columns:
            if column.fault:
                yield _counted(column.fault, column.wrong, "cell")
            if column.twice:
                yield self._fault(Kind.SPACES, column.twice.message, column.twice.row, None, column.rule.name)

    def spaces(self) -> Iterator[str]:
        """Give what is worth knowing of spaces around cells."""
        spaced = [column for column in self.columns if column.spaced and not column.twice]
        if spaced:
            where = "{!r} ({:,}, the first in line {})"
            message = [where.format(each.rule.name, each.spaced, each.spaced_row) for each in spaced[:10]]
            more = f" and {len(spaced) - 10:,} more columns" if len(spaced) > 10 else ""
            yield (
                "cells begin or end with a space, which the training takes for a part of the text: "
                f"{', '.join(message)}{more}"
            )

    def classes(self) -> Iterator[str]:
        """Give what is worth knowing of the classes of the label."""
        for column in self.columns:
            if column.classes_left_out:
                yield (
                    f"the label {column.rule.name!r} has more than {CLASSES_AT_MOST:,} classes; so many are compared "
                    "with and without spaces"
                )

    def _by_cell(
        self,
        column: ColumnCheck,
        cells: Sequence[str],
        numbers: Sequence[int],
        counts: Sequence[int],
        raw: Callable[[int], bytes],
    ) -> None:
        known = column.first is not None
        column.by_cell(cells, numbers, counts)
        if column.first and not known:
            row, cell = column.first
            name = column.rule.name
            message = (
                f"line {row}, column {name!r} is {cut(cell)!r}, and {column.right} was expected{column.hint(cell)}"
            )
            column.fault = self._fault(Kind.TYPE, message, row, raw(row), name)

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
            self._by_column(column, cells, numbers, lambda number: good[numbers.index(number)].raw)
        self.sample.offer(len(rows), lambda some: [rows[index] for index in some])
        if self.duplicates:
            raws = [row.raw.rstrip(b"\r\n") for row in parsed]
            if self._in_arrays:
                self.duplicates.add_digests(digests_of(raws))
            else:
                self.duplicates.add(raws)
        self.rows += len(parsed)

    def _by_column(
        self, column: ColumnCheck, cells: Sequence[str], numbers: Sequence[int], raw: Callable[[int], bytes]
    ) -> None:
        if column.looked_at_once:
            counts = Counter(cells)
            column.missing += counts.pop("", 0)
            first = dict(zip(reversed(cells), reversed(numbers), strict=True))
            self._by_cell(column, [*counts], [first[cell] for cell in counts], [*counts.values()], raw)
            return
        present = [*filter(None, cells)]
        if len(present) < len(cells):
            column.missing += len(cells) - len(present)
            numbers = [number for cell, number in zip(cells, numbers, strict=True) if cell]
        self._by_cell(column, present, numbers, [1] * len(present), raw)

    def _note_words(self, rows: list[list[str]]) -> None:
        for cells in rows:
            if not self._missing.isdisjoint(cells):
                for column, cell in zip(self.columns, cells, strict=True):
                    column.words |= {cell} & self._missing if cell else set()

    def _count_ragged(self, row: Row) -> None:
        self.ragged += 1
        if self.first_ragged:
            return
        message = f"line {row.number} has {len(row.cells)} values where the header has {len(self.columns)}"
        message = f"{message}: {shown(row.raw)}"
        self.first_ragged = self._fault(Kind.RAGGED_ROW, message, row.number, row.raw)

    def _fault(self, kind: Kind, message: str, row: int, line: bytes | None, column: str | None = None) -> Fault:
        message = f"{self._table.name} {message}"
        return Fault(kind=kind, message=message, row=row, line=None if line is None else shown(line), column=column)


def _row_by_number(
    numbers: list[int], rows: list[int], raw: Callable[[list[int]], list[bytes]]
) -> Callable[[int], bytes]:
    return lambda number: raw([rows[numbers.index(number)]])[0]


def _counted(fault: Fault, count: int, what: str) -> Fault:
    if count == 1:
        return fault
    message = f"{fault.message}; {count - 1:,} more {what}{'s' if count > 2 else ''} like this"
    return msgspec.structs.replace(fault, count=count, message=message)

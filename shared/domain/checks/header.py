"""The names of a table against the columns that a pipeline asks for."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from shared.base.suggestion import differs_in_case
from shared.domain.checks.drift import NUMBER
from shared.domain.checks.report import Fault, Kind
from shared.domain.checks.rules import Checks
from shared.domain.table import Table
from shared.domain.table.form import cut, shown

_SHOWN = 400  #: characters of a header that a sentence repeats
_EACH_AT_MOST = 20  #: names that a report calls double, or renamed, one by one
_COMPARED_AT_MOST = 100  #: names that are compared letter by letter with each missing one
_LETTERS_AT_MOST = 100  #: of a name that are compared
_SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}


class Header:
    """What the columns are called by position, and what is wrong with them.

    `inputs` are the columns that the web service is asked with (those of proof.rows): the table must have them too.
    """

    def __init__(self, table: Table, checks: Checks, inputs: Sequence[str] = ()) -> None:
        self._table, self._checks, self._inputs = table, checks, inputs
        self.names, self.faults, self.notes = table.names, list[Fault](), list[str]()
        self._separator = _separator_hint(table)
        if table.form.headless:
            self._by_position()
        else:
            self._by_name()
        if self._separator and not self.faults:
            self.notes.append(f"{table.name} has one column{self._separator}")

    def _fault(self, kind: Kind, message: str, column: str | None = None) -> None:
        row, line = self._table.header.number, shown(self._table.header.raw)
        message = f"{self._table.name} {message}"
        self.faults.append(Fault(kind=kind, message=message, row=row, column=column, line=line))

    def _by_position(self) -> None:
        names, wanted = self._table.names, [column.name for column in self._checks.columns]
        count = len(names)
        self.names = [*wanted, *names[len(wanted) :]][:count]
        message = f"line {self._table.header.number} has {count} values where the pipeline has {len(wanted)} columns"
        if count < len(wanted):
            lacking = f"{message}: {_listed(wanted[count:])} would be empty{self._separator}"
            self._fault(Kind.MISSING_COLUMN, lacking, wanted[count])
        elif count < len(self._inputs):
            # Which columns these are is not known here, only that they are too few.
            message = (
                f"line {self._table.header.number} has {count} values where proof.rows has {len(self._inputs)} columns"
            )
            self._fault(Kind.MISSING_COLUMN, f"{message}{self._separator}")
        elif self._checks.label and self._checks.label not in self.names:
            label = self._checks.label
            self._fault(Kind.MISSING_COLUMN, f"has no column {label!r}; its columns are: {_listed(self.names)}", label)
        elif wanted and count > len(wanted) and self._checks.extra_columns:
            self.notes.append(f"{self._table.name} {message}; those after {wanted[-1]!r} were not expected")
        elif wanted and count > len(wanted):
            self._fault(Kind.EXTRA_COLUMN, message)

    def _by_name(self) -> None:
        header, checks = self._table.names, self._checks
        self._find_doubles()
        required, there = set(checks.required), set(header)
        wanted = dict.fromkeys([*checks.required, *self._inputs])
        extra = dict.fromkeys(name for name in header if name not in wanted)
        self._find_missing([name for name in wanted if name not in there], extra)
        if not checks.columns:
            extra = {}
        if extra and not checks.extra_columns:
            message = f"has a column {_listed(extra)} beside the expected: {_listed(wanted, str)}"
            self._fault(Kind.EXTRA_COLUMN, message, next(iter(extra)))
        elif extra:
            self.notes.append(f"{self._table.name} has columns that no rule names: {_listed(extra)}")
        spaced = [name for name in header if name != name.strip() and name not in required]
        if spaced and not any(fault.column in spaced for fault in self.faults):
            message = (
                f"{self._table.name}: the training takes the space for a part of the name of column {_listed(spaced)}"
            )
            self.notes.append(message)
        self._find_order(required, there)

    def _find_doubles(self) -> None:
        doubles = sorted(name for name, count in Counter(self._table.names).items() if count > 1)
        for name in doubles[:_EACH_AT_MOST]:
            message = f"names the column {name!r} twice in its header; each needs its own name"
            self._fault(Kind.DUPLICATE_COLUMN, message, name)
        if len(doubles) > _EACH_AT_MOST:
            self.notes.append(f"{len(doubles) - _EACH_AT_MOST:,} more names are there twice")

    def _find_missing(self, missing: list[str], extra: dict[str, None]) -> None:
        """Say which columns are lacking, and take those that are there renamed out of the extra ones."""
        near = _Near(extra)
        lost = []
        for column in missing:
            other = near.take(column) if len(self.faults) < 2 * _EACH_AT_MOST else None
            if other is None:
                lost.append(column)
                continue
            extra.pop(other)
            how = "differs in case only" if differs_in_case(column, [other]) else "seems to be it renamed"
            message = f"has no column {column!r} but one {other!r}, which {how}; {self._header}"
            if other.strip() == column.strip():
                message = (
                    f"has no column {column!r} but one {other!r}: the training takes the space for a part of the name"
                )
            self._fault(Kind.RENAMED_COLUMN, message, other)
        if lost:
            hint = self._separator
            if not hint and _is_data(self._table.names):
                hint = "; its first line looks like data: a table without a header ends in .nh.csv"
            required = set(self._checks.required)
            asked = [column for column in lost if column not in required]
            why = f", and the rows of proof.rows have {'it' if lost == asked else repr(asked[0])}" if asked else ""
            self._fault(Kind.MISSING_COLUMN, f"has no column {_listed(lost)}{why}; {self._header}{hint}", lost[0])

    def _find_order(self, required: set[str], there: set[str]) -> None:
        checks = self._checks
        found = [name for name in self._table.names if name in required]
        order = [name for name in checks.required if name in there]
        if not checks.any_order and found != order and len(found) == len(set(found)):
            first = next(name for name, right in zip(found, order, strict=True) if name != right)
            message = f"has its columns in another order; expected: {_listed(checks.required, str)}; {self._header}"
            self._fault(Kind.COLUMN_ORDER, message, first)

    @property
    def _header(self) -> str:
        return f"its header is: {_listed(self._table.names, str)}"


class _Near:
    """Names that may be others renamed. Each missing name is looked up, and only a few are compared with each."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_key: dict[str, list[str]] = {}
        for name in names:
            self._by_key.setdefault(_key(name), []).append(name)

    def take(self, column: str) -> str | None:
        """Return the name that is the same but for case and signs, or else one that is close; each name once."""
        key = _key(column)
        if key not in self._by_key and len(self._by_key) <= _COMPARED_AT_MOST:
            [key] = difflib.get_close_matches(key, self._by_key, n=1, cutoff=0.8) or [key]
        names = self._by_key.get(key)
        if not names:
            return None
        name = names.pop()
        if not names:
            del self._by_key[key]
        return name


def _key(name: str) -> str:
    return "".join(filter(str.isalnum, name[:_LETTERS_AT_MOST].casefold()))


def _listed(names: Iterable[str], text_of: Callable[[str], str] = repr) -> str:
    """Return as many whole names as a sentence has room for, and how many more there are."""
    every = [*names]
    texts = [cut(text_of(name)) for name in every[:_SHOWN]]
    whole = max(1, sum(length <= _SHOWN for length in accumulate(len(text) + 2 for text in texts)))
    more = len(every) - whole
    return ", ".join(texts[:whole]) + (f" and {more:,} more" if more > 0 else "")


def _separator_hint(table: Table) -> str:
    """Return what a table with one column may be separated by, as the end of a sentence."""
    [first, *others] = table.names if not table.form.headless else table.header.cells or [""]
    if table.form.arff or others:
        return ""
    right = "a tab" if table.form.separator == "\t" else "','"
    candidates = {**_SEPARATORS, ",": "','"}
    for sign, said in candidates.items():
        if sign in first and sign != table.form.separator:
            return f"; the cells seem to be separated by {said}, and {right} is needed{_OTHER.get(sign, '')}"
    return ""


_OTHER = {"\t": " (or a name that ends in .tsv)"}


def _is_data(header: list[str]) -> bool:
    return sum(NUMBER.fullmatch(cell) is not None for cell in header) * 2 > len(header)

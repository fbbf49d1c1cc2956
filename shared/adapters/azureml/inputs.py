"""The body of a scoring call: rows of text become what a training has read from the same text. No I/O.

A training reads a CSV file as pandas does: a column is one of numbers if each of its cells is a number. Here a code
with leading zeros, as `01234`, makes its column one of text, as a number would not give it back.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from shared.base.errors import BadConfiguration
from shared.domain.azureml import OnlineScoring
from shared.domain.checks.rules import Type
from shared.domain.rows import Rows

ROWS = "{rows}"  #: in a body of the configuration: the rows, as a list of objects
_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECLARED = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LARGEST = 2**53  #: larger whole numbers may change on their way through a float
_LONGEST = 400  #: characters of a number
_TRUTHS = {"true": True, "false": False}

Cell = Callable[[str], Any]


def typed(
    rows: Rows, types: Mapping[str, Type], missing: Collection[str] = (), sample: Rows | None = None
) -> list[list[Any]]:
    """Return the rows with numbers and truth values made from text; None for an empty cell.

    `types` are those of the configuration. Another column has the type that all of its cells fit, those of the `sample`
    too, so that a few rows get the types of many. In a column that is not of text, the words for `missing` are None.
    """
    columns = []
    for place, name in enumerate(rows.columns):
        cells = [row[place] for row in rows.values]
        more = [cell for [cell] in sample.only([name]).values] if sample and name in sample.columns else []
        columns.append(_column([*cells, *more], types.get(name), missing)[: len(cells)])
    return [list(row) for row in zip(*columns, strict=True)]


def body_of(columns: Sequence[str], cells: Sequence[Sequence[Any]], scoring: OnlineScoring) -> Any:
    """Return the body of one call."""
    if scoring.form == "mlflow":
        return {"input_data": {"columns": list(columns), "index": list(range(len(cells))), "data": list(cells)}}
    template = scoring.body or f'{{"data": {ROWS}}}'
    objects = json.dumps([dict(zip(columns, row, strict=True)) for row in cells])
    try:
        return json.loads(template.replace(ROWS, objects))
    except ValueError as error:
        raise BadConfiguration(f"scoring.body is not JSON once {ROWS} is replaced by the rows: {error}") from None


def _column(cells: Sequence[str], type_: Type | None, missing: Collection[str]) -> list[Any]:
    """Return the cells by the first reading that each of them fits, and that the type allows."""
    for read in _READINGS[type_]:
        try:
            bare = [cell.strip() for cell in cells]
            values = [None if not cell or cell in missing else read(cell) for cell in bare]
        except ValueError:
            continue
        # As pandas has it, a column with one decimal number, or with a missing one, has no whole numbers.
        if any(isinstance(each, float) or each is None for each in values):
            return [float(each) if type(each) is int else each for each in values]
        return values
    return [None if not cell.strip() else cell for cell in cells]


def _number(cell: str) -> int | float:
    """Return the number that the text surely is, and that gives the text back."""
    if not _NUMBER.fullmatch(cell):
        raise ValueError
    number = _declared(cell)
    if isinstance(number, int) and abs(number) > _LARGEST:
        raise ValueError
    return number


def _declared(cell: str) -> int | float:
    """Return the number that the configuration says the text is; a whole one stays a whole one."""
    if not _DECLARED.fullmatch(cell) or len(cell) > _LONGEST:
        raise ValueError
    if cell.lstrip("+-").isdigit():
        return int(cell)
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError
    return number


def _truth(cell: str) -> bool:
    try:
        return _TRUTHS[cell.lower()]
    except KeyError:
        raise ValueError from None


_READINGS: Mapping[Type | None, Sequence[Cell]] = {
    None: (_number, _truth),
    Type.NUMBER: (_declared,),
    Type.INTEGER: (_declared,),
    Type.BOOLEAN: (_truth, _declared),
    Type.DATETIME: (),
    Type.TEXT: (),
}

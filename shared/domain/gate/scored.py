"""The held-out rows as the training service scored them: read as a stream into a sample of bounded size.

The table is CSV in UTF-8 with a header: the columns of the data, the label's too, and those that Score Model adds. It
may be a third of the training data, so that it is never in memory as a whole.
"""

from __future__ import annotations

import codecs
import csv
import random
from collections.abc import Iterator

from shared.base.errors import BadEvaluation
from shared.domain.rows import Rows

LABELS = "Scored Labels"
PROBABILITIES = "Scored Probabilities"
OF_CLASS = 'Scored Probabilities for Class "'  #: how the names of the columns of a multiclass model begin
LONGEST = 1 << 20  #: characters of a line
_SEED = 0


def read_scored(chunks: Iterator[bytes], label: str, at_most: int) -> tuple[Rows, int]:
    """Return the rows, or `at_most` of them in the table's order, each with the same chance; and how many there are.

    The same table gives the same sample. Algorithm R of J. S. Vitter, Random sampling with a reservoir, ACM TOMS 11
    (1985). Raises `BadEvaluation`, which names what is missing or where the form is broken.
    """
    reader = csv.reader(_lines(chunks), strict=True)
    chance = random.Random(_SEED)
    sample: list[tuple[int, list[str]]] = []
    count = 0
    try:
        header = next((row for row in reader if row), [])
        _check_header(header, label)
        for row in reader:
            if len(row) != len(header):
                if not row:
                    continue
                raise BadEvaluation(
                    f"Line {reader.line_num} of the scored rows has {len(row)} values, its header {len(header)}"
                )
            place = count if count < at_most else int(chance.random() * (count + 1))
            if place < at_most:
                sample[place : place + 1] = [(count, row)]
            count += 1
    except csv.Error as error:
        raise BadEvaluation(f"Line {reader.line_num} of the scored rows is no CSV: {error}") from None
    except UnicodeDecodeError:
        raise BadEvaluation(f"The scored rows are no UTF-8 text, from line {reader.line_num + 1} on") from None
    if not count:
        raise BadEvaluation("The scored rows are a header without a row")
    return Rows(header, [row for _, row in sorted(sample, key=lambda numbered: numbered[0])]), count


def _check_header(header: list[str], label: str) -> None:
    for name, whose in ((label, ", which is the gate's label"), (LABELS, "; is it the output of Score Model?")):
        if name not in header:
            found = ", ".join(header)[:500] or "none"
            raise BadEvaluation(f"The scored rows have no column {name!r}{whose}; their columns are: {found}")


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines with their ends."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line + "\n"
        if len(rest) > LONGEST:
            raise BadEvaluation(f"The scored rows have a line of more than {LONGEST:,} characters; are they CSV?")
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest

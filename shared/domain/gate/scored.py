"""The held-out rows as the training service scored them: read as a stream into a sample of bounded size.

The table is CSV in UTF-8 with a header: the columns of the data, the label's too, and those that Score Model adds. It
may be a third of the training data, so that it is never in memory as a whole.
"""

import random
from collections.abc import Iterable, Iterator, Mapping

from shared.base.errors import BadEvaluation
from shared.domain.evaluation import Kind
from shared.domain.proof_rows import SCORED, scored_columns
from shared.domain.rows import Rows
from shared.domain.table import Table, Unreadable

LABELS = "Scored Labels"
PROBABILITIES = "Scored Probabilities"
OF_CLASS = 'Scored Probabilities for Class "'  #: how the names of the columns of a multiclass model begin
_PIECE = 32 << 10  #: bytes read at once
_NAME = "The table of the scored rows"
_SEED = 0


def read_scored(
    chunks: Iterator[bytes], label: str, at_most: int, columns: Mapping[str, str] | None = None
) -> tuple[Rows, int]:
    """Return the rows, or `at_most` of them in the table's order, each with the same chance; and how many there are.

    `columns` are those that get another name: the training's names by those of Score Model.
    The same table gives the same sample. Algorithm R of J. S. Vitter, Random sampling with a reservoir, ACM TOMS 11
    (1985). Raises `BadEvaluation`, which names what is missing or where the form is broken.
    """
    chance = random.Random(_SEED)
    sample: list[tuple[int, list[str]]] = []
    count = 0
    try:
        table = Table(_NAME, chunks, _PIECE)
        names = _renamed(table.names, columns or {})
        _check_header(names, label)
        for cells in table.full_rows():
            place = count if count < at_most else int(chance.random() * (count + 1))
            if place < at_most:
                sample[place : place + 1] = [(count, cells)]
            count += 1
    except Unreadable as error:
        raise BadEvaluation(error.message) from None
    if not count:
        raise BadEvaluation("The scored rows are a header without a row")
    return Rows(names, [cells for _, cells in sorted(sample, key=lambda numbered: numbered[0])]), count


def read_champion_scored(
    rows: Rows, total: int, chunks: Iterator[bytes], label: str, at_most: int, columns: Mapping[str, str]
) -> Rows:
    """Return what the champion answered for the rows, as the training scored them with it in a second table.

    Of `total` rows, the same sample is taken. Raises `BadEvaluation` where the second table has other rows.
    """
    try:
        theirs, count = read_scored(chunks, label, at_most, columns)
    except BadEvaluation as error:
        raise BadEvaluation(f"In the rows that the training scored with the champion: {error}") from None
    problem = f"{count} rows in place of {total}" if count != total else _first_difference(rows, theirs)
    if problem:
        raise BadEvaluation(
            f"The output of training.champion.scored has other rows than the output of training.scored: "
            f"{problem}; have the training write the same rows in the same order with both models"
        )
    return scored_columns(theirs)


def _first_difference(rows: Rows, others: Rows) -> str | None:
    shared = [name for name in rows.columns if not name.startswith(SCORED) and name in others.columns]
    pairs = zip(rows.only(shared).values, others.only(shared).values, strict=True)
    for number, (ours, theirs) in enumerate(pairs, 1):
        if ours != theirs:
            name = next(name for name, one, other in zip(shared, ours, theirs, strict=True) if one != other)
            return f"of the rows that are compared, the column {name!r} differs in row {number}"
    return None


def scored_names(label: str | None, probability: str | None, probabilities: Mapping[str, str]) -> dict[str, str]:
    """Return the names that a table has for Score Model's columns. Of two classes, the last one is positive."""
    names = {LABELS: label, PROBABILITIES: probability}
    if len(probabilities) == 2:
        names[PROBABILITIES] = [*probabilities.values()][-1]
    else:
        names |= {f'{OF_CLASS}{name}"': column for name, column in probabilities.items()}
    return {ours: theirs for ours, theirs in names.items() if theirs is not None}


def _renamed(header: list[str], columns: Mapping[str, str]) -> list[str]:
    for ours, theirs in columns.items():
        if theirs not in header:
            raise BadEvaluation(
                f"The scored rows have no column {theirs!r}, which training.scored names; their columns are: "
                f"{', '.join(header)[:500]}"
            )
        if ours in header and ours != theirs:
            raise BadEvaluation(f"The scored rows have the columns {ours!r} and {theirs!r}, which mean the same")
    names = {theirs: ours for ours, theirs in columns.items()}
    return [names.get(name, name) for name in header]


def _check_header(header: list[str], label: str) -> None:
    for name, whose in (
        (label, ", which is the gate's label"),
        (LABELS, "; is it the output of Score Model, or training.scored.label?"),
    ):
        if name not in header:
            found = ", ".join(header)[:500] or "none"
            raise BadEvaluation(f"The scored rows have no column {name!r}{whose}; their columns are: {found}")


def kind_of_columns(columns: Iterable[str]) -> Kind:
    """Return the kind of the model that answers with these columns."""
    names = set(columns)
    if any(name.startswith(OF_CLASS) for name in names):
        return Kind.MULTICLASS
    return Kind.TWO_CLASS if PROBABILITIES in names else Kind.REGRESSION

"""What a pipeline asks of its data: the typed rules, as they are written in the configuration."""

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]


class Type(Enum):
    """What the cells of a column are; a cell may always be missing, unless a limit says otherwise."""

    NUMBER = "number"  #: decimal point, exponent allowed; no NaN, no Infinity
    INTEGER = "integer"
    BOOLEAN = "boolean"  #: true, false, 0 or 1
    DATETIME = "datetime"  #: ISO 8601
    TEXT = "text"


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the rules: a key it does not know is a mistake."""


class Column(Rules, frozen=True, kw_only=True):
    """A column that the header must have."""

    name: str
    type: Annotated[Type | None, Meta(description="What its cells must be; anything when not given")] = None
    values: Annotated[tuple[str, ...], Meta(description="The only cells allowed, when given")] = ()
    missing_at_most: Annotated[Share | None, Meta(description="Share of missing cells in this column")] = None


class Drift(Rules, frozen=True, kw_only=True):
    """How far the columns may be from the last accepted data, as a population stability index (PSI)."""

    at_most: Annotated[float, Meta(gt=0, description="0.1 is a small shift, 0.25 a large one")] = 0.2
    columns: Annotated[
        dict[str, Annotated[float, Meta(gt=0)] | None],
        Meta(description="Another limit for a column, or null to leave it out (a date, a counter)"),
    ] = {}


class Checks(Rules, frozen=True, kw_only=True):
    """Everything that is asked of one data set. Missing and duplicate columns are faults always."""

    columns: Annotated[
        tuple[Column, ...], Meta(description="Columns of the header; by position where it has none")
    ] = ()
    proof_columns: Annotated[
        bool,
        Meta(
            description="The header must have the columns of proof.rows; false where the experiment makes some of them"
        ),
    ] = True
    label: Annotated[str | None, Meta(description="The column to learn, which needs two classes at least")] = None
    extra_columns: Annotated[bool, Meta(description="Columns beside these are allowed")] = True
    any_order: Annotated[bool, Meta(description="The columns may come in another order")] = True
    rows_at_least: Annotated[int, Meta(ge=1)] = 1
    missing: Annotated[tuple[str, ...], Meta(description="What stands for a missing value beside an empty cell")] = ()
    missing_at_most: Annotated[Share | None, Meta(description="Share of missing cells, in each column")] = None
    missing_in_all_at_most: Annotated[Share | None, Meta(description="Share of missing cells in the table")] = None
    duplicates_at_most: Annotated[Share | None, Meta(description="Share of rows that repeat an earlier row")] = None
    drift: Annotated[Drift | None, Meta(description="Limits against the last accepted data")] = None

    @property
    def required(self) -> list[str]:
        """Return the names that the header must have, the label's too."""
        return list(dict.fromkeys([*(column.name for column in self.columns), *([self.label] if self.label else [])]))

"""What a check found: a record for machines, and a text for people."""

from collections import Counter
from collections.abc import Sequence
from enum import Enum

import msgspec

from shared.domain.checks.drift import Profile
from shared.domain.checks.summary import Summary

_EACH_KIND_AT_MOST = 20  #: faults; a table of 20,000 columns may have one in each


class Kind(Enum):
    """What is wrong, for machines."""

    EXTENSION = "extension"
    EMPTY = "empty"
    ENCODING = "encoding"
    SYNTAX = "syntax"
    TOO_LARGE = "too large"
    MISSING_COLUMN = "missing column"
    RENAMED_COLUMN = "renamed column"
    DUPLICATE_COLUMN = "duplicate column"
    EXTRA_COLUMN = "extra column"
    COLUMN_ORDER = "column order"
    RAGGED_ROW = "ragged row"
    TYPE = "type"
    SPACES = "spaces"
    TOO_FEW_ROWS = "too few rows"
    ONE_CLASS = "one class"
    MISSING_VALUES = "missing values"
    DUPLICATE_ROWS = "duplicate rows"
    DRIFT = "drift"


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. Where it is wrong in many rows, `row` is the first of them and `count` how many."""

    kind: Kind
    message: str  #: a sentence: the file, what is wrong, what would be right
    row: int | None = None  #: number of the line in the file, from 1; of a row over several lines, the first
    column: str | None = None
    line: str | None = None  #: the line as it is in the file, cut to 120 characters
    count: int = 1


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is to know about one data set."""

    name: str
    size: int  #: bytes
    sha256: str  #: of all bytes, also where the check ended early
    rows: int  #: rows read, without header and blank lines
    whole: bool  #: whether every row was read; a table that cannot be read on ends the check
    faults: tuple[Fault, ...] = ()  #: at most 20 of each kind; where there are more, a note says how many
    notes: tuple[str, ...] = ()  #: what is worth knowing and is not a fault, as sentences
    duplicates: float | None = None  #: share of rows that repeat an earlier one, where a rule asked for it
    as_text: dict[str, tuple[str, ...]] = {}  #: what a training makes texts of columns of numbers for, by column
    drift: dict[str, float] = {}  #: PSI against the reference by column, where a rule asked for it
    summary: Summary | None = (
        None  #: for the checks of a whole batch, to be added to other files' summaries; None unless whole
    )
    profile: Profile | None = None  #: of this data, for the next comparison; None unless whole

    @property
    def reason(self) -> str | None:
        """Return the first fault's sentence and how many more there are, or None when nothing is wrong."""
        return summed_up(self.faults) if self.faults else None

    @property
    def text(self) -> str:
        """The report for people."""
        found = f"{len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}" if self.faults else "no fault"
        read = f"{self.rows:,} rows" if self.whole else f"{self.rows:,} rows read, then given up"
        lines = [f"{self.name}: {found} ({read}, {self.size:,} bytes, SHA-256 {self.sha256})"]
        for number, fault in enumerate(self.faults, 1):
            lines.append(f"\n{number}. {fault.message}")
            if fault.line is not None:
                lines.append(f"   line {fault.row}: {fault.line}")
        lines += [f"\nNote: {note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def summed_up(faults: Sequence[Fault]) -> str:
    """Return the first fault's sentence and how many more there are."""
    more = len(faults) - 1
    return faults[0].message + (f" (and {more} more fault{'s' if more > 1 else ''})" if more else "")


def shortened(faults: Sequence[Fault]) -> tuple[list[Fault], list[str]]:
    """Return the first faults of each kind, and for each kind with more of them a sentence that says how many."""
    counts: Counter[Kind] = Counter()
    kept = []
    for fault in faults:
        counts[fault.kind] += 1
        if counts[fault.kind] <= _EACH_KIND_AT_MOST:
            kept.append(fault)
    more = {kind: count - _EACH_KIND_AT_MOST for kind, count in counts.items() if count > _EACH_KIND_AT_MOST}
    return kept, [f"{count:,} more faults of the kind {kind.value!r} are not listed" for kind, count in more.items()]

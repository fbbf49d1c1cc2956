"""The first entry of a pipeline: what is known of its data and services, with the reasons as remarks. Decides only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.configuration.writing import Remarked
from shared.domain.evaluation import Kind

COLUMNS_AT_MOST = 60  #: columns that the entry names; of a wider table it names the label alone


@dataclass(frozen=True)
class Known:
    """A column of the data: its type for the checks, what was seen in it, and the only cells allowed, if any."""

    name: str
    type: str | None
    seen: str
    missing: float = 0.0  #: share of its cells
    values: Sequence[str] = ()

    def rule(self, *, limited: bool) -> dict[str, Any]:
        """Return the rule that the column's cells keep to, with its own limit to missing cells if `limited`."""
        kept: dict[str, Any] = (
            {"values": list(self.values)} if self.values else {"type": self.type} if self.type else {}
        )
        return {"name": self.name, **kept, **({"missing_at_most": _limit(self.missing)} if limited else {})}


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is known of the training data. `missing` are the texts that stand for a missing value."""

    rows: int
    columns: Sequence[Known]
    label: str
    missing: Sequence[str]
    missing_elsewhere: float  #: the largest share of missing cells that any other column has


def checks(data: Data) -> dict[str, Any]:
    """Return the checks that data like this passes, and data of another form does not."""
    asked: dict[str, Any] = {}
    most = max(each.missing for each in data.columns)
    # The limit to missing cells is about every column of the table: one that no model learns may be nearly empty.
    limited = data.missing_elsewhere > _limit(most)
    if len(data.columns) <= COLUMNS_AT_MOST:
        asked["columns"] = [Remarked(each.rule(limited=limited), each.seen) for each in data.columns]
    asked["label"] = Remarked(data.label, "the column to predict")
    if data.missing:
        asked["missing"] = Remarked(list(data.missing), "missing to the training too")
    asked["rows_at_least"] = Remarked(max(10, data.rows // 10), f"a tenth of the first {data.rows:,} rows")
    if not limited:
        asked["missing_at_most"] = Remarked(_limit(most), f"of a column; {most:.0%} at most in the first rows")
    return asked


def _limit(share: float) -> float:
    """Return a limit to missing cells that leaves room above the share of today."""
    return min(1.0, round(share * 1.5 + 0.1, 2))


def gate(kind: Kind, first: dict[str, float] | None, guess: float = 0.0) -> dict[str, Any]:
    """Return the gate for a kind of task.

    `first` are the metrics of the model that is live now, where they are known; `guess` is the accuracy of always
    naming the most frequent class.
    """
    match kind:
        case Kind.TWO_CLASS:
            metric, nothing, share, meaning = "AUC", 0.5, 0.8, "0.5 is a guess"
            compared = "AUC >= champion - 0.01"
        case Kind.MULTICLASS:
            metric, nothing, share = "Overall accuracy", guess, 0.7
            meaning = f"always the largest class gives {guess:.2f}"
            compared = "Overall accuracy >= champion - 0.02"
        case Kind.REGRESSION:
            metric, nothing, share, meaning = "Coefficient of Determination", 0.0, 0.7, "0 is always the mean"
            compared = "Root Mean Squared Error <= champion * 1.05"
    value = f"the first model has {first[metric]:.3f}; " if first else ""
    floor = f"{metric} >= {_between(nothing, first[metric] if first else None, share):g}"
    return {
        "rules": [Remarked(floor, f"{value}{meaning}"), Remarked(compared, "both score the same held-out rows")],
        "undecided": Remarked("promote", "within the noise the newer data wins; or keep, ask"),
    }


def _between(nothing: float, first: float | None, share: float) -> float:
    """Return a bound between a model that knows nothing and the first one, rounded down."""
    if first is None or not first > nothing:
        return round(nothing, 2)
    return int(100 * (nothing + share * (first - nothing))) / 100

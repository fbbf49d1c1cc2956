"""Rows that both models answered, and what their noise leaves of a condition. Needs numpy: import it late."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shared.domain.evaluation import FROM_ROWS, METRICS, NEED_PROBABILITIES, kind_of
from shared.domain.gate.bootstrap import REPLICATES, interval, replicates, spare
from shared.domain.gate.metrics import Answered, Floats, TwoClass, measure
from shared.domain.gate.rules import COMPARE, Condition
from shared.domain.gate.verdict import Outcome

ROWS_AT_LEAST = 30  #: below, the resampled rows are too much alike to show the noise
OF_A_CLASS_AT_LEAST = 5  #: for a metric that needs both classes: with fewer a row or two decide it
_NEED_BOTH = {"AUC", "Precision", "Recall", "F-Score"}


@dataclass(frozen=True)
class Compared:
    """One condition on these rows. `interval` is for `candidate - bound`, each end at the confidence."""

    outcome: Outcome
    candidate: float
    champion: float | None
    bound: float
    interval: tuple[float, float] | None


class Sample:
    """Some rows; `models` are the candidate and, if it answered them too, the champion."""

    def __init__(self, models: Sequence[Answered], metrics: Iterable[str]) -> None:
        self._models = models
        self.metrics = frozenset(name for name in metrics if _is_measured(name, models[0]))
        self.count = len(models[0].truth)
        self.has_champion = len(models) > 1

    @cached_property
    def alike(self) -> bool:
        """Whether both models answered the same for every row."""
        return self.has_champion and self._models[0].is_like(self._models[1])  # type: ignore[arg-type]

    @cached_property
    def too_few(self) -> str | None:
        """Why the rows are too few to judge on, or None."""
        if self.count < ROWS_AT_LEAST:
            return f"{self.count} rows are too few to judge on, {ROWS_AT_LEAST} are needed"
        model = self._models[0]
        if isinstance(model, TwoClass) and (needing := sorted(self.metrics & _NEED_BOTH)):
            positive = int(model.truth.sum())
            if min(positive, self.count - positive) < OF_A_CLASS_AT_LEAST:
                return (
                    f"{positive} rows of the positive class and {self.count - positive} of the other are too few for "
                    f"{' and '.join(needing)}, {OF_A_CLASS_AT_LEAST} of each are needed"
                )
        return None

    def compare(self, condition: Condition, confidence: float) -> Compared:
        """Return what holds of the condition in so many of the resampled rows, or that neither does."""
        measured = self._measured[condition.metric]
        candidate = measured[0]
        champion = measured[1] if condition.champion else np.zeros_like(candidate)
        # Infinity less infinity is neither: it counts for nothing, as what could not be computed does.
        with np.errstate(invalid="ignore"):
            bound = condition.bound(champion)
            difference = candidate - bound
        known = ~np.isnan(difference[1:])
        holds = COMPARE[condition.comparison](difference[1:], 0.0) & known
        held, failed = int(holds.sum()), int((known & ~holds).sum())
        outcome = Outcome.UNDECIDED
        if REPLICATES - held <= spare(REPLICATES, confidence):
            outcome = Outcome.HOLDS
        elif REPLICATES - failed <= spare(REPLICATES, confidence):
            outcome = Outcome.FAILS
        return Compared(
            outcome=outcome,
            candidate=float(candidate[0]),
            champion=float(champion[0]) if condition.champion else None,
            bound=float(bound[0]),
            interval=interval(difference[1:], confidence),
        )

    @cached_property
    def _measured(self) -> Mapping[str, Floats]:
        return replicates(self._models, self.metrics)

    def at(self, places: Sequence[int], metrics: Iterable[str]) -> Sample:
        chosen = np.array(places)
        return Sample([model.at(chosen) for model in self._models], metrics)


def metrics_of(model: Answered) -> dict[str, float]:
    """Return all metrics that the rows give, each row counted once, in the order of an evaluation table."""
    weighed = model.weigh(np.ones(len(model.truth)))
    names = [name for name in METRICS[model.kind] if name in FROM_ROWS]
    return {name: float(measure(name, weighed)) if _is_measured(name, model) else math.nan for name in names}


def _is_measured(metric: str, model: Answered) -> bool:
    labels_only = isinstance(model, TwoClass) and not model.has_probabilities
    return kind_of(metric) is model.kind and not (labels_only and metric in NEED_PROBABILITIES)

"""The noise of metrics that are measured on few rows: the paired bootstrap. Needs numpy: import it late.

The rows are drawn again with replacement, as many as there are, a thousand times; each time all models are measured on
the same draw, so that what makes rows hard for all of them cancels out of the difference. Intervals are of percentiles.
B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from shared.domain.gate.metrics import Answered, Floats, measure

REPLICATES = 1000
_SEED = 20_240_831  #: the same rows and answers give the same verdict
KEPT_TO = 500  #: rows; the draws for so many take 4 MB, and the next models are often compared on as many rows
_CELLS = 16_000  #: weights at once: 128 KB, which a cache holds; for more the C library asks the system at each call


def replicates(models: Sequence[Answered], metrics: Iterable[str]) -> dict[str, Floats]:
    """Return by metric a row for each model: the metric on the rows themselves, then on each of `REPLICATES` draws."""
    metrics = list(metrics)
    found = {metric: np.empty((len(models), 1 + REPLICATES)) for metric in metrics}
    done = 0
    for weights in _draws(len(models[0].truth)):
        for number, model in enumerate(models):
            weighed = model.weigh(weights)
            for metric in metrics:
                found[metric][number, done : done + len(weights)] = measure(metric, weighed)
        done += len(weights)
    return found


def draw_ahead(rows: int) -> None:
    """Draw what a comparison on so many rows will need, while their answers are not there yet."""
    if rows <= KEPT_TO:
        _kept(rows)


def _draws(rows: int) -> Iterable[Floats]:
    """Return how often each row is in each draw, some draws at a time, after the rows themselves, each once."""
    return _kept(rows) if rows <= KEPT_TO else _drawn(rows)


@lru_cache(2)
def _kept(rows: int) -> Sequence[Floats]:
    return [*_drawn(rows)]


def _drawn(rows: int) -> Iterator[Floats]:
    yield np.ones((1, rows))
    random = np.random.default_rng(_SEED)
    at_once = max(1, _CELLS // rows)
    for begin in range(0, REPLICATES, at_once):
        drawn = random.integers(0, rows, (min(at_once, REPLICATES - begin), rows))
        drawn += np.arange(len(drawn))[:, None] * rows  # each draw has its own numbers, so that one call counts all
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def interval(values: Floats, confidence: float) -> tuple[float, float] | None:
    """Return the ends that the replicates pass with no more than `1 - confidence` on either side; None for too few."""
    ordered = np.sort(values[np.isfinite(values)])
    beyond = spare(len(ordered), confidence)
    return (float(ordered[beyond]), float(ordered[-1 - beyond])) if len(ordered) else None


def spare(replicates: int, confidence: float) -> int:
    """Return how many of the replicates may speak against what is held with that confidence."""
    return int(replicates * (1 - confidence) + 1e-9)

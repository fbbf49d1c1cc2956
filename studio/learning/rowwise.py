"""What a learner says of each row, whatever rows are beside it.

scikit-learn's linear learners multiply by BLAS, whose kernels add up the products of a row in an order that depends on
the processor and on the number of rows. NumPy multiplies cell by cell and adds along a contiguous row in one order, so
the sum is the same alone, in a batch and on every processor. The exponential that makes a probability of it is the
machine's own: two machines may differ in the last digits there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.extmath import softmax


def predictions(learner: Any, matrix: Any) -> Any:
    """Return a regression's number for each row of a C-contiguous matrix."""
    if isinstance(learner, Ridge):
        return _sums(matrix, learner.coef_) + learner.intercept_
    return learner.predict(matrix)


def probabilities(learner: Any, matrix: Any) -> Any:
    """Return the probability of each class for each row of a C-contiguous matrix."""
    if isinstance(learner, LogisticRegression):
        scores = np.stack([_sums(matrix, weights) for weights in learner.coef_], axis=1) + learner.intercept_
    elif hasattr(learner, "decision_function"):
        # Boosted trees; they give a matrix by column, and a sum along its rows would depend on their number.
        scores = np.ascontiguousarray(learner.decision_function(matrix)).reshape(len(matrix), -1)
    else:
        return learner.predict_proba(matrix)
    if scores.shape[1] > 1:
        return softmax(scores, copy=False)
    positive = expit(scores[:, 0])
    return np.stack([1 - positive, positive], axis=1)


def _sums(matrix: Any, weights: Any) -> Any:
    return np.add.reduce(matrix * weights, axis=1)

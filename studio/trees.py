"""Whether the trees of a learner may be walked: their nodes are arrays, and a forged one could lead out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)


def check_trees(learner: Any) -> None:
    """Raise ValueError unless every tree's nodes lead forwards, to nodes that are there, by columns that are there."""
    columns = int(learner.n_features_in_)
    for left, right, feature, is_leaf in _trees(learner):
        count = len(left)
        number = np.arange(count)
        inner = ~is_leaf
        if not count:
            raise ValueError("a tree has no nodes")
        for child in (left[inner], right[inner]):
            if ((child <= number[inner]) | (child >= count)).any():
                raise ValueError("a tree's node leads to one that is not there")
        if ((feature[inner] < 0) | (feature[inner] >= columns)).any():
            raise ValueError("a tree's node asks for a column that is not there")


def _trees(learner: Any) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield children to the left and to the right, the columns asked for, and which nodes are leaves."""
    if isinstance(learner, (RandomForestClassifier, RandomForestRegressor)):
        for each in learner.estimators_:
            left = np.asarray(each.tree_.children_left, np.int64)
            right = np.asarray(each.tree_.children_right, np.int64)
            yield left, right, np.asarray(each.tree_.feature, np.int64), left == -1
    elif isinstance(learner, (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        for round_ in learner._predictors:
            for predictor in round_:
                nodes = predictor.nodes
                left, right = np.asarray(nodes["left"], np.int64), np.asarray(nodes["right"], np.int64)
                yield left, right, np.asarray(nodes["feature_idx"], np.int64), np.asarray(nodes["is_leaf"], bool)

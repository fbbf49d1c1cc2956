"""The trees of a learner as plain arrays, and back again once they are checked.

scikit-learn's trees are compiled code that walks its arrays without a check of their bounds, so none is ever loaded:
a file holds the arrays, and trees are built only from arrays in which every node leads forwards, to a node that exists,
by a column that exists. That is also some fifty times faster than loading one object for each tree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import NODE_DTYPE, Tree

_FORESTS = (RandomForestClassifier, RandomForestRegressor)
_BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_NO_CATEGORIES = np.zeros((0, 8), np.uint32)


def freeze(learner: Any) -> Any:
    """Return the learner with arrays in the place of its trees, and without what only training needs."""
    frozen = copy.copy(learner)
    if isinstance(learner, _FORESTS):
        trees = [each.tree_ for each in learner.estimators_]
        states = [tree.__getstate__() for tree in trees]
        frozen.estimators_ = {
            "counts": np.array([tree.node_count for tree in trees]),
            "depths": np.array([tree.max_depth for tree in trees]),
            "nodes": _bytes_of([state["nodes"] for state in states]),
            "values": np.concatenate([state["values"][:, 0, :] for state in states]),
        }
    elif isinstance(learner, _BOOSTED):
        nodes = [predictor.nodes for round_ in learner._predictors for predictor in round_]
        frozen._predictors = {"counts": np.array([len(each) for each in nodes]), "nodes": _bytes_of(nodes)}
        frozen._bin_mapper = frozen._loss = frozen._feature_subsample_rng = frozen._label_encoder = None
    return frozen


def thaw(learner: Any, columns: int, classes: int) -> None:
    """Give a frozen learner its trees; raise an exception of any kind for arrays that are not those of trees.

    `classes` is 0 for a regression.
    """
    if isinstance(learner, _FORESTS):
        _thaw_forest(learner, columns, classes)
    elif isinstance(learner, _BOOSTED):
        _thaw_boosted(learner, columns, 1 if classes <= 2 else classes)


def _thaw_forest(learner: Any, columns: int, classes: int) -> None:
    frozen, width = learner.estimators_, classes or 1
    nodes = _nodes(frozen["nodes"], NODE_DTYPE)
    values = checked(frozen["values"], (len(nodes), width))
    parts, depths = _parts(frozen["counts"], len(nodes)), frozen["depths"].tolist()
    if not len(parts) == len(depths) == learner.n_estimators:
        raise ValueError("it has another number of trees than it says")
    learner.n_outputs_ = 1
    if classes:
        learner.n_classes_ = classes
    learner.estimators_ = []
    for part, depth in zip(parts, depths, strict=True):
        _check_ways(nodes[part]["left_child"], nodes[part]["right_child"], nodes[part]["feature"], columns)
        tree = Tree(columns, np.array([width]), 1)
        tree.__setstate__(
            {
                "max_depth": depth,
                "node_count": part.stop - part.start,
                "nodes": nodes[part],
                "values": np.ascontiguousarray(values[part])[:, None, :],
            }
        )
        one = DecisionTreeClassifier() if classes else DecisionTreeRegressor()
        one.tree_, one.n_features_in_, one.n_outputs_, one.n_classes_ = tree, columns, 1, width
        if classes:
            one.classes_ = np.arange(float(classes))
        learner.estimators_.append(one)


def _thaw_boosted(learner: Any, columns: int, trees_a_round: int) -> None:
    frozen = learner._predictors
    nodes = _nodes(frozen["nodes"], PREDICTOR_RECORD_DTYPE)
    parts = _parts(frozen["counts"], len(nodes))
    if nodes["is_categorical"].any():
        raise ValueError("a tree asks for a category, but the preparation of the columns leaves none")
    if not np.isfinite(nodes["value"]).all():
        raise ValueError("a tree's leaf has no number")
    checked(learner._baseline_prediction, (1, trees_a_round))
    if len(parts) != trees_a_round * learner.max_iter:
        raise ValueError("it has another number of trees than it says")
    predictors = []
    for part in parts:
        inner = nodes[part]["is_leaf"] == 0
        left, right = (np.where(inner, nodes[part][side].astype(np.int64), -1) for side in ("left", "right"))
        _check_ways(left, right, nodes[part]["feature_idx"], columns)
        predictors.append(TreePredictor(nodes[part], _NO_CATEGORIES, _NO_CATEGORIES))
    learner._predictors = [
        predictors[first : first + trees_a_round] for first in range(0, len(predictors), trees_a_round)
    ]
    learner.n_trees_per_iteration_ = trees_a_round
    learner._n_features = columns
    learner._preprocessor = None
    learner._bin_mapper = _BinMapper()
    learner._bin_mapper.is_categorical_, learner._bin_mapper.bin_thresholds_ = np.zeros(columns, np.uint8), []
    learner._loss = learner._get_loss(sample_weight=None)
    vars(learner).pop("_in_fit", None)  # with it, the learner would read the rows as binned


def _check_ways(left: Any, right: Any, feature: Any, columns: int) -> None:
    """Raise ValueError unless every node that is not a leaf (-1) leads forwards, so that there is an end."""
    number, count = np.arange(len(left)), len(left)
    inner = left != -1
    for child in (left[inner], right[inner]):
        if ((child <= number[inner]) | (child >= count)).any():
            raise ValueError("a tree's node leads to one that is not there")
    if ((feature[inner] < 0) | (feature[inner] >= columns)).any():
        raise ValueError("a tree's node asks for a column that is not there")


def checked(array: Any, shape: tuple[int, ...]) -> Any:
    """Return the array if it holds finite numbers in that shape; raise ValueError otherwise."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.shape != shape:
        raise ValueError(f"an array of its numbers is not of the shape {shape}")
    if not np.isfinite(array).all():
        raise ValueError("a number of it is infinite or not a number")
    return array


def _bytes_of(arrays: Sequence[Any]) -> Any:
    # As bytes, since a copy of a structured array leaves the gaps between its fields to chance.
    return np.frombuffer(b"".join(array.tobytes() for array in arrays), np.uint8)


def _nodes(content: Any, kind: Any) -> Any:
    if not isinstance(content, np.ndarray) or content.dtype != np.uint8 or content.ndim != 1:
        raise ValueError("the nodes of its trees are not bytes")
    return np.frombuffer(content.tobytes(), kind)


def _parts(counts: Any, total: int) -> list[slice]:
    """Return where each tree's nodes are; every tree has one at least."""
    if not isinstance(counts, np.ndarray) or counts.dtype != np.int64 or counts.ndim != 1:
        raise ValueError("the numbers of its trees' nodes are not whole numbers")
    if not len(counts) or (counts < 1).any() or (counts > total).any() or sum(counts.tolist()) != total:
        raise ValueError("its trees have other numbers of nodes than there are")
    return list(_slices(counts.tolist()))


def _slices(counts: Sequence[int]) -> Iterator[slice]:
    first = 0
    for count in counts:
        yield slice(first, first + count)
        first += count

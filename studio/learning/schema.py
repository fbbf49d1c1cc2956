"""What skops says of the objects in a model file: which parts there are, and how they hang together.

skops walks from part to part and follows every reference, so a small file can lead it along without an end. Here each
part is read once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

_DEPTH = 100  #: of parts in parts, as they are written
_PARTS_AT_MOST = 1_000_000
#: what a pipeline of `training` is made of, by skops' names; skops itself would load any estimator
_KNOWN = {
    "DTypeNode numpy.dtype",
    "DictNode builtins.dict",
    "JsonNode builtins.str",
    "ListNode builtins.list",
    "NdArrayNode numpy.float64",
    "NdArrayNode numpy.ndarray",
    "NdArrayNode numpy.uint64",
    "ObjectNode sklearn.compose._column_transformer.ColumnTransformer",
    "ObjectNode sklearn.ensemble._forest.RandomForestClassifier",
    "ObjectNode sklearn.ensemble._forest.RandomForestRegressor",
    "ObjectNode sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "ObjectNode sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    "ObjectNode sklearn.impute._base.SimpleImputer",
    "ObjectNode sklearn.linear_model._logistic.LogisticRegression",
    "ObjectNode sklearn.linear_model._ridge.Ridge",
    "ObjectNode sklearn.pipeline.Pipeline",
    "ObjectNode sklearn.preprocessing._data.StandardScaler",
    "ObjectNode sklearn.preprocessing._encoders.OneHotEncoder",
    "ObjectNode sklearn.tree._classes.DecisionTreeClassifier",
    "ObjectNode sklearn.tree._classes.DecisionTreeRegressor",
    "SliceNode builtins.slice",
    "TupleNode builtins.tuple",
    "TypeNode builtins.str",
    "TypeNode numpy.float64",
}


def check_schema(schema: Any) -> None:
    """Raise ValueError for a part that no pipeline of `training` has in it, and for parts that lead around or too far.

    skops writes a part again wherever it is referred to. A reference that stands for more than is written there would
    have skops walk over more than the file has.
    """
    schemas = _Schema(schema)
    if schemas.reached() > schemas.written:
        raise ValueError("its parts refer to each other more often than they are written")


def anonymous(node: Any, files: dict[str, str]) -> Any:
    """Return skops' schema with nothing of the process in it: it names objects by their place in memory.

    `files` gets the new name of each of its files.
    """
    if isinstance(node, list):
        return [anonymous(each, files) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: anonymous(each, files) for key, each in node.items() if key != "__id__"}
    if node.get("__loader__") == "TypeNode":
        # The types of keys are most of a file: with its own name, each is read once.
        node["__id__"] = f"{node['__module__']}.{node['__class__']}"
    if isinstance(node.get("file"), str):
        node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.npy")
    return node


class _Schema:
    """The parts of a description, counted as they are written."""

    def __init__(self, schema: Any) -> None:
        self._top = schema
        self._by_id: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        self._sizes: dict[Any, int | None] = {}  # by id; None while it is counted
        self.written = self._collect(schema, 0)

    def reached(self) -> int:
        """Return how many parts there are when every reference counts as what it leads to."""
        return self._size(self._top)

    def _collect(self, node: Any, depth: int) -> int:
        if depth > _DEPTH:
            raise ValueError("its parts are too deep in each other")
        if isinstance(node, list):
            return sum(self._collect(each, depth + 1) for each in node)
        if not isinstance(node, dict):
            return 0
        if is_part := "__loader__" in node:
            _check_known(node)
            if "__id__" in node:
                self._by_id[node["__id__"]].append(node)
        count = is_part + sum(self._collect(each, depth + 1) for each in node.values())
        if count > _PARTS_AT_MOST:
            raise ValueError(f"it has more than {_PARTS_AT_MOST:,} parts")
        return count

    def _size(self, node: Any) -> int:
        if isinstance(node, list):
            return sum(map(self._size, node))
        if not isinstance(node, dict):
            return 0
        if "__loader__" not in node or "__id__" not in node:
            return ("__loader__" in node) + sum(map(self._size, node.values()))
        return self._size_by_id(node["__id__"])

    def _size_by_id(self, part: Any) -> int:
        if part not in self._sizes:
            self._sizes[part] = None
            # Whichever of the parts with this id skops comes to first, the others stand for it.
            self._sizes[part] = max(1 + sum(map(self._size, node.values())) for node in self._by_id[part])
        size = self._sizes[part]
        if size is None:
            raise ValueError("a part is in itself")
        return size


def _check_known(node: dict[str, Any]) -> None:
    part = f"{node['__loader__']} {node['__module__']}.{node['__class__']}"
    if part not in _KNOWN:
        raise ValueError(f"it has a {part.partition(' ')[2]} in it, which no model of this Studio has")

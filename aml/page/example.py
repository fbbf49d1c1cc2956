"""A request that a deployment's model takes, from what the model's files say of its columns. No code of it runs."""

from __future__ import annotations

import json
import zipfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_LARGEST = 1 << 20  #: bytes of a description that are read
_MOST = 1000  #: columns of an example
_CELLS: Mapping[str, Any] = {"string": "", "boolean": False, "integer": 0, "long": 0, "datetime": "2026-01-01T00:00:00"}

Column = tuple[str, Any]  #: its name, and a value


def example(model: Path) -> dict[str, Any] | None:
    """Return a request with one row, or None where no file says which columns there are."""
    columns = next(filter(None, (_described(file) for file in _descriptions(model))), None)
    if columns is None:
        return None
    names, row = [name for name, _ in columns], [value for _, value in columns]
    if not all(names):
        return {"input_data": [row]}
    return {"input_data": {"columns": names, "index": [0], "data": [row]}}


def _descriptions(model: Path) -> list[Path]:
    """Return the files that may describe a model, the one with its signature before the model itself."""
    found = [
        file for pattern in ("*/MLmodel", "*/*/MLmodel", "*/*.skops", "*.skops") for file in sorted(model.glob(pattern))
    ]
    return found[:4]


def _described(file: Path) -> list[Column] | None:
    try:
        columns = _of_skops(file) if file.suffix == ".skops" else _of_mlflow(file)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        yaml.YAMLError,
        zipfile.BadZipFile,
    ):
        return None  # it is the user's own file, and may be anything
    return columns if 0 < len(columns) <= _MOST else None


def _of_mlflow(file: Path) -> list[Column]:
    with file.open("rb") as opened:
        described = yaml.safe_load(opened.read(_LARGEST))
    columns: list[Column] = []
    for each in json.loads(described["signature"]["inputs"]):
        if each["type"] == "tensor":
            return [("", 0.0)] * max(1, min(int(each["tensor-spec"]["shape"][-1]), _MOST + 1))
        columns.append((str(each.get("name", "")), _CELLS.get(each["type"], 0.0)))
    return columns


def _of_skops(file: Path) -> list[Column]:
    """Read the schema beside the arrays: JSON, in which the outermost estimator that knows its columns has them."""
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo("schema.json").file_size > _LARGEST:
            return []
        schema = json.loads(archive.read("schema.json"))
    pending: deque[Any] = deque([schema])
    while pending:
        node = pending.popleft()
        if not isinstance(node, dict):
            pending += node if isinstance(node, list) else []
            continue
        if "n_features_in_" in node:
            return _columns(node)
        pending += node.values()
    return []


def _columns(attributes: Mapping[str, Any]) -> list[Column]:
    names: Sequence[Any] = (attributes.get("feature_names_in_") or {}).get("content") or []
    if names:
        return [(str(json.loads(name["content"])), 0.0) for name in names]
    return [("", 0.0)] * min(int(attributes["n_features_in_"]["content"]), _MOST + 1)

"""MLflow's filters and orders of runs: `metrics.auc > 0.9 AND tags.mlflow.parentRunId = 'job'`. No I/O."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from aml.errors import bad_request

#: a run as it is answered: `info` and `data`
Shown = Mapping[str, Any]

_CLAUSE = re.compile(
    r"\s*(?:(?P<group>\w+)\.)?(?P<name>`[^`]+`|\"[^\"]+\"|[\w.\-/]+)\s*(?P<sign>!=|>=|<=|=|>|<|\bI?LIKE\b)\s*"
    r"(?P<value>'[^']*'|\"[^\"]*\"|-?[\d.]+(?:[eE][+-]?\d+)?)\s*",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\s*(?:(?P<group>\w+)\.)?(?P<name>`[^`]+`|\"[^\"]+\"|[\w.\-/]+?)(?P<down>\s+DESC)?(?:\s+ASC)?\s*$", re.I
)
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_GROUPS = {
    "metric": "metrics", "metrics": "metrics", "param": "params", "params": "params", "parameter": "params",
    "parameters": "params", "tag": "tags", "tags": "tags",
}  # fmt: skip


def read_filter(text: str) -> Callable[[Shown], bool]:
    """Return whether a run is wanted. Raises for a filter that cannot be read."""
    clauses = []
    position = 0
    while text[position:].strip():
        found = _CLAUSE.match(text, position)
        if not found:
            raise bad_request(f"The filter cannot be read from {text[position : position + 80]!r} on.", "filter")
        clauses.append(found)
        position = found.end()
        if rest := text[position:]:
            joined = re.match(r"AND\s", rest, re.IGNORECASE)
            if not joined:
                raise bad_request(f"The filter has {rest[:40]!r} where AND is expected.", "filter")
            position += joined.end()
    return lambda run: all(_holds(clause, run) for clause in clauses)


def read_order(texts: list[str]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Return what sorts runs. A run without the value comes last."""
    orders = []
    for text in reversed(texts):
        found = _ORDER.match(text)
        if not found:
            raise bad_request(f"The order {text[:80]!r} cannot be read.", "order_by")
        orders.append(found)

    def ordered(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for order in orders:
            known = [run for run in runs if _value(order, run) is not None]
            unknown = [run for run in runs if _value(order, run) is None]
            known.sort(key=lambda run: _value(order, run), reverse=bool(order["down"]))
            runs = [*known, *unknown]
        return runs

    return ordered


def _holds(clause: re.Match[str], run: Shown) -> bool:
    value, sign = _value(clause, run), clause["sign"].upper()
    wanted: Any = clause["value"].strip("'\"")
    if value is None:
        return False
    if "LIKE" in sign:
        pattern = wanted.replace("%", "*").replace("_", "?")
        folded = sign == "ILIKE"
        return fnmatch.fnmatchcase(value.lower() if folded else value, pattern.lower() if folded else pattern)
    if isinstance(value, int | float):
        try:
            wanted = float(wanted)
        except ValueError:
            raise bad_request(f"The filter compares a number with {wanted[:80]!r}.", "filter") from None
    return _SIGNS[sign](value, wanted)


def _value(found: re.Match[str], run: Shown) -> Any:
    group, name = (found["group"] or "attributes").lower(), found["name"].strip('`"')
    if group in ("attribute", "attributes", "attr", "run"):
        return run["info"].get({"created": "start_time", "name": "run_name"}.get(name.lower(), name.lower()))
    if group not in _GROUPS:
        raise bad_request(f"The filter names {group!r}; it can be metrics, params, tags, attributes.", "filter")
    for each in run["data"][_GROUPS[group]]:
        if each["key"] == name:
            return float(each["value"]) if group.startswith("metric") else each["value"]
    return None

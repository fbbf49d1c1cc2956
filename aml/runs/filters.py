"""MLflow's filters and orders: `metrics.auc > 0.9 AND tags.mlflow.parentRunId = 'job'`. No I/O."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aml.errors import bad_request

#: what is known of a run, a model or a version: its value by group (`attributes`, `metrics`, `params`, `tags`) and name
Facts = Callable[[str, str], Any]
T = TypeVar("T")

_NAME = r"\s*(?:(?P<group>\w+)\.)?(?P<name>`[^`]+`|\"[^\"]+\"|[\w.\-/]+"
_CLAUSE = re.compile(
    rf"{_NAME})\s*(?P<sign>!=|>=|<=|=|>|<|\bI?LIKE\b|\b(?:NOT\s+)?IN\b)\s*"
    r"(?P<value>'[^']*'|\"[^\"]*\"|-?[\d.]+(?:[eE][+-]?\d+)?|\([^()]*\))\s*",
    re.IGNORECASE,
)
_ORDER = re.compile(rf"{_NAME}?)(?P<down>\s+DESC)?(?:\s+ASC)?\s*$", re.IGNORECASE)
_LISTED = re.compile(r"\s*(?:'([^']*)'|\"([^\"]*)\"|([^\s,'\"]+))\s*(?:,|$)")
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_GROUPS = {
    "metric": "metrics", "metrics": "metrics", "param": "params", "params": "params", "parameter": "params",
    "parameters": "params", "tag": "tags", "tags": "tags", "attribute": "attributes", "attributes": "attributes",
    "attr": "attributes", "run": "attributes", "": "attributes",
}  # fmt: skip


def read_filter(text: str) -> Callable[[Facts], bool]:
    """Return whether something is wanted. Raises for a filter that cannot be read."""
    clauses: list[Callable[[Facts], bool]] = []
    position = 0
    while text[position:].strip():
        found = _CLAUSE.match(text, position)
        if not found:
            raise bad_request(f"The filter cannot be read from {text[position : position + 80]!r} on.", "filter")
        clauses.append(_clause(found))
        position = found.end()
        if rest := text[position:]:
            joined = re.match(r"AND\s", rest, re.IGNORECASE)
            if not joined:
                raise bad_request(f"The filter has {rest[:40]!r} where AND is expected.", "filter")
            position += joined.end()
    return lambda facts: all(holds(facts) for holds in clauses)


def read_order(texts: list[str], facts: Callable[[T], Facts]) -> Callable[[list[T]], list[T]]:
    """Return what sorts by the facts. What has no value, or one that is not a number, comes last."""
    orders: list[tuple[str, str, bool]] = []
    for text in reversed(texts):
        found = _ORDER.match(text)
        if not found:
            raise bad_request(f"The order {text[:80]!r} cannot be read.", "order_by")
        orders.append((*_place(found), bool(found["down"])))

    def ordered(given: list[T]) -> list[T]:
        for group, name, down in orders:
            values = [(facts(each)(group, name), each) for each in given]
            known = [pair for pair in values if pair[0] is not None and pair[0] == pair[0]]
            unknown = [each for value, each in values if value is None or value != value]
            known.sort(key=lambda pair: pair[0], reverse=down)
            given = [*(each for _, each in known), *unknown]
        return given

    return ordered


def named(text: str) -> str | None:
    """Return the name that a filter wants: what has another one need not be read."""
    found = re.match(r"\s*name\s*=\s*('[^']*'|\"[^\"]*\")\s*(?:$|AND\s)", text, re.IGNORECASE)
    return found[1].strip("'\"") if found else None


def _place(found: re.Match[str]) -> tuple[str, str]:
    group = _GROUPS.get((found["group"] or "").lower())
    if group is None:
        message = f"The filter names {found['group'][:80]!r}; it can be metrics, params, tags, attributes."
        raise bad_request(message, "filter")
    return group, found["name"].strip('`"')


def _clause(found: re.Match[str]) -> Callable[[Facts], bool]:
    group, name = _place(found)
    sign = " ".join(found["sign"].upper().split())
    wanted = found["value"]
    if sign.endswith("IN") != wanted.startswith("("):
        raise bad_request(f"The filter has {wanted[:80]!r} after {sign}.", "filter")
    if sign.endswith("IN"):
        among = {next(filter(None, each), "") for each in _LISTED.findall(wanted[1:-1])}
        return lambda facts: _in(facts(group, name), among, sign == "IN")
    wanted = wanted.strip("'\"")
    if "LIKE" in sign:
        pattern = _pattern(wanted, re.IGNORECASE if sign == "ILIKE" else 0)
        return lambda facts: _like(facts(group, name), pattern)
    return lambda facts: _compares(facts(group, name), sign, wanted)


def _compares(value: Any, sign: str, wanted: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, int | float):
        return _SIGNS[sign](value, wanted)
    try:
        return _SIGNS[sign](value, float(wanted))
    except ValueError:
        raise bad_request(f"The filter compares a number with {wanted[:80]!r}.", "filter") from None


def _in(value: Any, among: set[str], wanted: bool) -> bool:
    return value is not None and (str(value) in among) == wanted


def _like(value: Any, pattern: re.Pattern[str]) -> bool:
    return value is not None and pattern.fullmatch(str(value)) is not None


def _pattern(like: str, flags: int) -> re.Pattern[str]:
    signs = {"%": ".*", "_": "."}
    return re.compile("".join(signs.get(each, re.escape(each)) for each in like), re.DOTALL | flags)

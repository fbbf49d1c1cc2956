"""The rules of the gate, as they are written and read.

A rule is `METRIC >= NUMBER` or `METRIC >= champion [+-*] NUMBER` with one of >=, >, <=, <. The champion is the model
that is live; its metric is the one kept when it was promoted, or the configured baseline before that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.evaluation import METRICS, metric_name

_RULE = re.compile(r"^\s*(?P<metric>[^<>=]+?)\s*(?P<comparison>>=|<=|>|<)\s*(?P<bound>.+?)\s*$")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_BOUND = re.compile(
    rf"^(?:(?P<number>{_NUMBER})|(?P<champion>champion)(?:\s*(?P<sign>[-+*])\s*(?P<margin>{_NUMBER}))?)$"
)
COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
}


@dataclass(frozen=True)
class Rule:
    """One condition. `factor * champion + margin` is the bound when it compares with the champion."""

    text: str
    metric: str
    comparison: str
    champion: bool
    factor: float
    margin: float

    def bound(self, champion: float | None) -> float:
        return self.factor * (champion or 0.0) + self.margin


def parse_rule(text: str) -> Rule:
    """Return the rule, or raise ValueError saying what is wrong and what would be right."""
    match = _RULE.match(text)
    bound = match and _BOUND.match(match["bound"])
    if not match or not bound:
        raise ValueError(f"{text!r} is no rule; write for example 'AUC >= 0.85' or 'AUC >= champion - 0.005'")
    metric = metric_name(match["metric"])
    if metric is None:
        known = [name for names in METRICS.values() for name in names]
        near = difflib.get_close_matches(match["metric"], known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known metrics: {', '.join(known)}"
        raise ValueError(f"{match['metric']!r} is no metric of an evaluation table; {hint}")
    factor, margin = 0.0, 0.0
    if bound["number"] is not None:
        margin = float(bound["number"])
    elif bound["sign"] == "*":
        factor = float(bound["margin"])
    else:
        factor = 1.0
        margin = float(f"{bound['sign']}1") * float(bound["margin"]) if bound["sign"] else 0.0
    return Rule(
        text=" ".join(text.split()),
        metric=metric,
        comparison=match["comparison"],
        champion=bound["champion"] is not None,
        factor=factor,
        margin=margin,
    )

"""Is this model good enough: rules over the evaluation table, decided without I/O.

A rule is `METRIC >= NUMBER` or `METRIC >= champion [+-*] NUMBER` with one of >=, >, <=, <. The champion is the model
that is live; its metric is the one kept when it was promoted, or the configured baseline before that.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from shared.evaluation import METRICS, Evaluation, metric_name, shown

_RULE = re.compile(r"^\s*(?P<metric>[^<>=]+?)\s*(?P<comparison>>=|<=|>|<)\s*(?P<bound>.+?)\s*$")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_BOUND = re.compile(
    rf"^(?:(?P<number>{_NUMBER})|(?P<champion>champion)(?:\s*(?P<sign>[-+*])\s*(?P<margin>{_NUMBER}))?)$"
)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
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


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule found, with the numbers it saw."""

    rule: str
    passed: bool
    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's decision, kept with its reasons."""

    accepted: bool
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> str:
        """The rules that failed, or all of them when the model was accepted."""
        told = [f.text for f in self.findings if self.accepted or not f.passed]
        return "; ".join(told)


def judge(
    rules: Sequence[Rule], evaluation: Evaluation, champion: Evaluation | None, baseline: Mapping[str, float]
) -> Verdict:
    """Return whether the evaluation passes every rule. A metric that is missing or NaN fails its rule."""
    findings = tuple(_find(rule, evaluation, champion, baseline) for rule in rules)
    return Verdict(accepted=all(f.passed for f in findings), findings=findings)


def _find(rule: Rule, evaluation: Evaluation, champion: Evaluation | None, baseline: Mapping[str, float]) -> Finding:
    def finding(passed: bool, text: str) -> Finding:
        return Finding(rule=rule.text, passed=passed, text=text)

    value = evaluation.value(rule.metric)
    if value is None:
        return finding(False, f"the evaluation has no {rule.metric} ({rule.text})")
    against = None
    if rule.champion:
        against = champion.value(rule.metric) if champion else baseline.get(rule.metric)
        if against is None or math.isnan(against):
            return finding(False, f"the champion has no {rule.metric} to compare with ({rule.text})")
    bound = rule.bound(against)
    passed = _COMPARE[rule.comparison](value, bound)
    name = f"{rule.text} = {shown(bound)}" if rule.champion else rule.text
    return finding(passed, f"{rule.metric} {shown(value)} {'meets' if passed else 'fails'} {name}")

"""The decision: what the rules find in a model's numbers, and what follows from it. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from shared.evaluation import Evaluation, shown
from shared.gate.rules import COMPARE, Rule
from shared.gate.verdict import Finding, Outcome, Verdict
from shared.rows import Rows

Undecided = Literal["keep", "promote", "ask"]  #: keep the champion, promote all the same, ask for an approval


@dataclass(frozen=True)
class Gate:
    """When a model is good enough, ready to use."""

    rules: Sequence[Rule]
    baseline: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.95
    undecided: Undecided = "keep"
    label: str | None = None
    rows_at_most: int = 10_000

    @property
    def compares(self) -> bool:
        """Whether a rule compares with the champion."""
        return any(rule.champion for rule in self.rules)

    @property
    def needs_rows(self) -> bool:
        """Whether a rule can be judged on rows that both models scored."""
        return self.compares


@dataclass(frozen=True)
class LiveModel:
    """The model that is live: `model` is its SHA-256, `evaluation` its metrics when it was promoted (other rows).

    `answers` are its scored columns for the candidate's scored rows, row by row.
    """

    model: str | None = None
    evaluation: Evaluation | None = None
    answers: Rows | None = None


@dataclass(frozen=True)
class ScoredRows:
    """Held-out rows as the training service scored them with the candidate: features, label and scored columns."""

    rows: Rows
    label: str


def judge(
    gate: Gate,
    evaluation: Evaluation,
    champion: LiveModel,
    scored: ScoredRows | None = None,  # noqa: ARG001
) -> Verdict:
    """Return what the gate says of the model. A metric that is missing or NaN fails its rule."""
    findings = tuple(_find(rule, evaluation, champion.evaluation, gate.baseline) for rule in gate.rules)
    holds = all(f.outcome is Outcome.HOLDS for f in findings)
    return Verdict(outcome=Outcome.HOLDS if holds else Outcome.FAILS, findings=findings, champion=champion.model)


def _find(rule: Rule, evaluation: Evaluation, champion: Evaluation | None, baseline: Mapping[str, float]) -> Finding:
    def finding(passed: bool, text: str) -> Finding:
        return Finding(rule=rule.text, outcome=Outcome.HOLDS if passed else Outcome.FAILS, text=text)

    value = evaluation.value(rule.metric)
    if value is None:
        return finding(False, f"the evaluation has no {rule.metric} ({rule.text})")
    against = None
    if rule.champion:
        against = champion.value(rule.metric) if champion else baseline.get(rule.metric)
        if against is None or math.isnan(against):
            return finding(False, f"the champion has no {rule.metric} to compare with ({rule.text})")
    bound = rule.bound(against)
    passed = COMPARE[rule.comparison](value, bound)
    name = f"{rule.text} = {shown(bound)}" if rule.champion else rule.text
    return finding(passed, f"{rule.metric} {shown(value)} {'meets' if passed else 'fails'} {name}")

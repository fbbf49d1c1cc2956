"""Rows that two models have scored, judged by rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.domain.evaluation import Evaluation, Kind
from shared.domain.gate.decision import Gate, LiveModel, ScoredRows, judge
from shared.domain.gate.rules import parse_rule
from shared.domain.gate.verdict import Outcome, Verdict
from shared.domain.rows import Rows

HOLDS, FAILS, UNDECIDED = Outcome.HOLDS, Outcome.FAILS, Outcome.UNDECIDED


def evaluation(**metrics: str) -> Evaluation:
    return Evaluation(kind=Kind.TWO_CLASS, metrics=metrics)


def two_class(truth: Any, candidate: Any, champion: Any | None, **columns: Any) -> tuple[ScoredRows, LiveModel]:
    """Return the scored rows with the candidate's probabilities, and a champion that answered them."""

    def scored(chance: Any) -> list[list[str]]:
        return [["yes" if p >= 0.5 else "no", repr(float(p))] for p in chance]

    names = ["Scored Labels", "Scored Probabilities"]
    given = zip(*columns.values(), ["yes" if one else "no" for one in truth], scored(candidate), strict=True)
    rows = Rows([*columns, "label", *names], [[*map(str, row[:-1]), *row[-1]] for row in given])
    answers = None if champion is None else Rows(names, scored(champion))
    return ScoredRows(rows, "label"), LiveModel(model="abc", answers=answers)


def noisy(random: np.random.Generator, truth: Any, noise: float) -> Any:
    """Return probabilities that are the less use the more noise they have."""
    return 1 / (1 + np.exp(-(2 * truth - 1 + noise * random.normal(size=len(truth)))))


def on_rows(rules: list[str], case: tuple[ScoredRows, LiveModel], confidence: float = 0.95) -> Verdict:
    scored, champion = case
    candidate = evaluation(AUC="0.5", Recall="0.5", **{"Training Log Loss": "7"})
    gate = Gate(rules=[parse_rule(rule) for rule in rules], baseline={"Training Log Loss": 6.0}, confidence=confidence)
    return judge(gate, candidate, champion, scored)

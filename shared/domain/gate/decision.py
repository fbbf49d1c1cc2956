"""The decision: what the rules find in a model's numbers, and what follows from it. No I/O.

A rule that compares with the champion is judged on rows that both models answered, where there are any: what their
noise leaves open is undecided. Without such rows the candidate's evaluation is compared with the champion's, of other
rows, as is. A rule with a number alone is judged by the evaluation, unless it is for slices, which need rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from shared.domain.evaluation import NEED_PROBABILITIES, Evaluation, Kind, kind_of, shown
from shared.domain.gate.rules import COMPARE, Condition, Group, Rule
from shared.domain.gate.verdict import Finding, Outcome, Verdict
from shared.domain.rows import Rows
from shared.domain.services import FilePart

if TYPE_CHECKING:
    from shared.domain.gate.sample import Compared, Sample

SLICES_AT_MOST = 50
_VERBS = {Outcome.HOLDS: "meets", Outcome.FAILS: "fails", Outcome.UNDECIDED: "undecided against"}


class Gate(FilePart, frozen=True, kw_only=True):
    """When a model is good enough."""

    rules: Annotated[
        list[Rule],
        Meta(
            min_length=1,
            description="All must hold: 'AUC >= champion - 0.005', 'AUC >= 0.9 or Recall >= 0.8', "
            "'for each sex: AUC >= champion - 0.02'",
        ),
    ]
    baseline: Annotated[
        dict[str, float],
        Meta(description="The champion's metrics until this app has promoted one, without training.scored"),
    ] = msgspec.field(default_factory=dict)
    confidence: Annotated[
        float, Meta(gt=0.5, lt=1, description="How sure a comparison on the same rows must be, by a paired bootstrap")
    ] = 0.95
    undecided: Annotated[
        Literal["keep", "promote", "ask"],
        Meta(description="When the difference is within the noise: keep the champion, promote, or ask"),
    ] = "keep"
    label: Annotated[str | None, Meta(description="Column with the truth, unless checks.label says it")] = None
    rows_at_most: Annotated[
        int, Meta(ge=100, le=100_000, description="Held-out rows to compare on, by chance where there are more")
    ] = 10_000

    @property
    def compares(self) -> bool:
        """Whether a rule compares with the champion."""
        return any(condition.champion for rule in self.rules for condition in rule.conditions)

    @property
    def kind(self) -> Kind:
        """What the models are; the metrics of all rules are of one kind."""
        return kind_of(self.rules[0].conditions[0].metric)

    def looks_at(self, *, has_rows: bool) -> list[str]:
        """Return the metrics that are looked up in an evaluation."""
        every = [(rule, condition) for rule in self.rules for condition in rule.conditions]
        looked = [c.metric for rule, c in every if not (has_rows and (rule.each or (c.champion and c.from_rows)))]
        return list(dict.fromkeys(looked))

    @property
    def by_labels(self) -> Kind | None:
        """What the models are, if their labels without probabilities are enough to compare them on rows."""
        measured = {c.metric for rule in self.rules for c in rule.conditions if rule.each or c.champion}
        return None if measured & NEED_PROBABILITIES else self.kind

    @property
    def needs_rows(self) -> bool:
        """Whether a rule can be judged on rows that both models scored."""
        return any(rule.needs_rows for rule in self.rules)


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


def judge(gate: Gate, evaluation: Evaluation, champion: LiveModel, scored: ScoredRows | None = None) -> Verdict:
    """Return what the gate says of the model; all rules must hold.

    A metric that the evaluation lacks, or has as NaN, fails its rule. Raises `BadEvaluation` where the scored rows or
    the champion's answers are not what they should be.
    """
    case = _Case(gate, evaluation, champion, scored)
    judged = [case.judge(rule) for rule in gate.rules]
    findings = tuple(finding for _, found in judged for finding in found)
    on_rows = any(finding.champion is not None and finding.interval is not None for finding in findings)
    return Verdict(
        outcome=_all(outcome for outcome, _ in judged),
        findings=findings,
        champion=champion.model,
        same_rows=case.count if on_rows else 0,
    )


def _all(outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene's `and` of three values."""
    met = set(outcomes)
    return next((worst for worst in (Outcome.FAILS, Outcome.UNDECIDED) if worst in met), Outcome.HOLDS)


def _any(outcomes: Iterable[Outcome]) -> Outcome:
    """Kleene's `or` of three values."""
    met = set(outcomes)
    return next((best for best in (Outcome.HOLDS, Outcome.UNDECIDED) if best in met), Outcome.FAILS)


_Judged = tuple[Outcome, list[Finding]]


def _walk(part: Condition | Group, find: Callable[[Condition], Finding]) -> _Judged:
    if isinstance(part, Condition):
        finding = find(part)
        return finding.outcome, [finding]
    judged = [_walk(inner, find) for inner in part.parts]
    outcome = (_all if part.need == "all" else _any)(outcome for outcome, _ in judged)
    findings = [finding for _, found in judged for finding in found]
    if outcome is Outcome.HOLDS:
        findings = [replace(finding, counts=finding.outcome is Outcome.HOLDS) for finding in findings]
    return outcome, findings


class _Case:
    """One candidate before the gate. Rows are measured once for all rules that look at them."""

    def __init__(self, gate: Gate, evaluation: Evaluation, champion: LiveModel, scored: ScoredRows | None) -> None:
        self._gate, self._evaluation, self._champion = gate, evaluation, champion
        self._rows: Rows | None = None
        self._whole: Sample | None = None
        self._slices: dict[str, dict[str, Sample]] = {}
        if scored is not None and gate.needs_rows:
            from shared.domain.gate.answers import read_answers
            from shared.domain.gate.sample import Sample

            kept, models = read_answers(scored.rows, scored.label, champion.answers, gate.by_labels)
            self._rows = scored.rows.at(kept)
            self._whole = Sample(models, self._metrics(None))
        self.count = self._whole.count if self._whole else 0

    def judge(self, rule: Rule) -> _Judged:
        if rule.each is None:
            return _walk(rule.must, lambda condition: self._find(rule, condition))
        return self._find_in_slices(rule, rule.each)

    def _find(self, rule: Rule, condition: Condition) -> Finding:
        whole = self._whole
        if not whole or not whole.has_champion or not condition.champion or condition.metric not in whole.metrics:
            return self._by_evaluation(rule, condition)
        if whole.too_few and not whole.alike:
            text = f"{whole.too_few}: undecided against {condition.text}"
            return Finding(rule=rule.text, outcome=Outcome.UNDECIDED, text=text)
        return self._on_rows(rule, condition, whole)

    def _by_evaluation(self, rule: Rule, condition: Condition) -> Finding:
        def finding(passed: bool, text: str, **numbers: float | None) -> Finding:
            outcome = Outcome.HOLDS if passed else Outcome.FAILS
            return Finding(rule=rule.text, outcome=outcome, text=text, **numbers)  # type: ignore[arg-type]

        metric, value = condition.metric, self._evaluation.value(condition.metric)
        if value is None:
            return finding(False, f"the evaluation has no {metric} ({condition.text})")
        against, named, source = None, condition.text, ""
        if condition.champion:
            kept = self._champion.evaluation
            against = kept.value(metric) if kept else self._gate.baseline.get(metric)
            if against is None or math.isnan(against):
                return finding(False, f"the champion has no {metric} to compare with ({condition.text})")
            source = f"; {shown(against)} is {'the champion' if kept else 'the baseline'}'s, from other rows"
        bound = condition.bound(against or 0.0)
        if condition.champion:
            named += f" = {shown(bound)}"
        passed = bool(COMPARE[condition.comparison](value, bound))
        text = f"{metric} {shown(value)} {'meets' if passed else 'fails'} {named}{source}"
        return finding(passed, text, **_finite(candidate=value, champion=against, bound=bound))

    def _find_in_slices(self, rule: Rule, column: str) -> _Judged:
        """Judge the rule in each slice by itself. A slice that is too small is reported, and does not count.

        A slice this small would always be undecided and block every model; its rows count in the whole. A rule of which
        no slice can be judged fails.
        """

        def refused(text: str) -> _Judged:
            return Outcome.FAILS, [Finding(rule=rule.text, outcome=Outcome.FAILS, text=f"{text} ({rule.text})")]

        if not self._whole or not self._rows:
            return refused("slices are judged on scored rows, and the job has none")
        if any(condition.champion for condition in rule.conditions) and not self._whole.has_champion:
            return refused("slices are compared on rows that the champion answered too, and it answered none")
        if column not in self._rows.columns:
            return refused(
                f"the scored rows have no column {column!r}; they have {', '.join(self._rows.columns)[:300]}"
            )
        slices = self._slices_by(column)
        if len(slices) > SLICES_AT_MOST:
            return refused(f"{column!r} has {len(slices):,} values, and at most {SLICES_AT_MOST} slices are judged")
        outcomes: list[Outcome] = []
        findings: list[Finding] = []
        for name, rows in slices.items():
            unknown = next((c.metric for c in rule.conditions if c.metric not in rows.metrics), None)
            if unknown:
                return refused(f"the scored rows are not those of a model with {unknown}")
            if rows.too_few:
                text = f"{name}: {rows.too_few}; it does not count"
                findings.append(Finding(rule=rule.text, outcome=Outcome.UNDECIDED, text=text, slice=name, counts=False))
                continue

            def find(condition: Condition, name: str = name, rows: Sample = rows) -> Finding:
                return self._on_rows(rule, condition, rows, name)

            outcome, found = _walk(rule.must, find)
            outcomes.append(outcome)
            findings += found
        if outcomes:
            return _all(outcomes), findings
        text = f"no value of {column!r} has enough rows to be judged: undecided against {rule.text}"
        return Outcome.UNDECIDED, [*findings, Finding(rule=rule.text, outcome=Outcome.UNDECIDED, text=text)]

    def _slices_by(self, column: str) -> dict[str, Sample]:
        assert self._whole
        assert self._rows
        if column not in self._slices:
            places: dict[str, list[int]] = {}
            for place, [cell] in enumerate(self._rows.only([column]).values):
                places.setdefault(f"{column} = {cell.strip() or '(empty)'}", []).append(place)
            metrics = self._metrics(column)
            self._slices[column] = {name: self._whole.at(places[name], metrics) for name in sorted(places)}
        return self._slices[column]

    def _metrics(self, column: str | None) -> set[str]:
        """Return the metrics that are measured on the rows as a whole, or on those of each value of the column."""
        conditions = [one for rule in self._gate.rules if rule.each == column for one in rule.conditions]
        return {one.metric for one in conditions if one.from_rows and (one.champion or column is not None)}

    def _on_rows(self, rule: Rule, condition: Condition, rows: Sample, name: str | None = None) -> Finding:
        compared = rows.compare(condition, self._gate.confidence)
        numbers = _numbers(condition, compared, rows, self._gate.confidence)
        return Finding(
            rule=rule.text,
            outcome=compared.outcome,
            text=f"{f'{name}: ' if name else ''}{numbers}: {_VERBS[compared.outcome]} {condition.text}",
            slice=name,
            interval=compared.interval,
            **_finite(candidate=compared.candidate, champion=compared.champion, bound=compared.bound),  # type: ignore[arg-type]
        )


def _numbers(condition: Condition, compared: Compared, rows: Sample, confidence: float) -> str:
    """Return what was seen, for a person: the difference from the champion where the bound is one, else the value."""
    metric, value, champion = condition.metric, compared.candidate, compared.champion
    if not math.isfinite(compared.candidate - compared.bound) or compared.interval is None:
        return f"{metric} cannot be computed on these {rows.count:,} rows"
    if champion is not None and rows.alike:
        return f"{metric} {shown(value)} of both models, which answer alike on all {rows.count:,} rows"

    def within(shift: float) -> str:
        assert compared.interval
        low, high = (shown(end + shift) for end in compared.interval)
        return f"within [{low}, {high}] at {100 * confidence:g} % each way"

    if champion is None:
        return f"{metric} {shown(value)} on {rows.count:,} rows, {within(compared.bound)}"
    both = f"{metric} {shown(value)}, champion {shown(champion)} on the same {rows.count:,} rows"
    if condition.factor == 1:
        return f"{both}; difference {shown(value - champion)} {within(condition.margin)}"
    beyond = f"{shown(value - compared.bound)} from the bound {shown(compared.bound)}"
    return f"{both}; {beyond}, {within(0.0)}"


def _finite(**numbers: float | None) -> dict[str, float | None]:
    """Return the numbers that JSON can hold; the text has the others."""
    return {name: number for name, number in numbers.items() if number is not None and math.isfinite(number)}

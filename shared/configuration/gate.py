"""The gate as it is configured. A rule that could never be judged is found here, before the first training."""

import msgspec

from shared.configuration.file import Entry, Wrong
from shared.domain.evaluation import METRICS, Kind, kind_of, metric_name
from shared.domain.gate.decision import Gate
from shared.domain.gate.rules import Rule


def read_gate(entry: Entry, wrong: Wrong) -> Gate:
    """Return the gate."""
    for metric in entry.gate.baseline:
        if metric_name(metric) is None:
            raise wrong(f".gate.baseline.{metric}", "is not a metric of an evaluation table")
    baseline = {metric_name(metric) or metric: value for metric, value in entry.gate.baseline.items()}
    gate = msgspec.structs.replace(entry.gate, baseline=baseline, label=entry.gate.label or entry.checks.label)
    has_rows = entry.training.scored is not None
    first = gate.rules[0].conditions[0].metric
    for index, rule in enumerate(gate.rules):
        if problem := _of_another_kind(rule, first) or _never_judged(rule, has_rows):
            raise wrong(f".gate.rules[{index}]", problem)
    if problem := _of_two_classes(entry, gate, first):
        raise wrong(".gate.rules[0]", problem)
    if has_rows and gate.needs_rows and gate.label is None:
        raise wrong(".gate.label", "is missing: name the column that has the truth in the scored rows")
    for rule in gate.rules:
        _require_baseline(rule, gate, has_rows, wrong)
    return gate


def _of_another_kind(rule: Rule, first: str) -> str | None:
    for condition in rule.conditions:
        if (kind := kind_of(condition.metric)) is not (expected := kind_of(first)):
            return (
                f"{condition.metric} is of {kind.value} models and {first} of {expected.value} ones; "
                "no evaluation table has both"
            )
    return None


def _of_two_classes(entry: Entry, gate: Gate, first: str) -> str | None:
    """Return what is wrong where the label has more classes than the metrics are for."""
    values = next((column.values for column in entry.checks.columns if column.name == gate.label), ())
    if kind_of(first) is not Kind.TWO_CLASS or len(values) <= 2:
        return None
    return (
        f"{first} is a metric of two-class models, and the label {gate.label!r} has {len(values)} values; the metrics "
        f"of multiclass models are: {', '.join(METRICS[Kind.MULTICLASS])}"
    )


def _never_judged(rule: Rule, has_rows: bool) -> str | None:
    if rule.each is None:
        return None
    if not has_rows:
        return (
            f"{rule.text!r} is judged on scored rows; name the output port that gives them in training.scored "
            "(its rows need the column and the label)"
        )
    for condition in rule.conditions:
        if not condition.from_rows:
            return f"{condition.metric} cannot be computed from scored rows, which 'for each {rule.each}' is judged on"
    return None


def _require_baseline(rule: Rule, gate: Gate, has_rows: bool, wrong: Wrong) -> None:
    """On rows that the live model scores too it needs no number; without them the first retraining has none."""
    for condition in rule.conditions:
        on_rows = has_rows and condition.from_rows
        if condition.champion and not on_rows and condition.metric not in gate.baseline:
            if condition.from_rows:
                raise wrong(
                    ".training.scored",
                    f"is missing, and {condition.text!r} compares with the champion; name the output with the scored "
                    "rows here, so that both models are compared on the same rows, or give the "
                    f"{condition.metric} of the model that is live now in gate.baseline",
                )
            raise wrong(
                ".gate.baseline",
                f"{condition.text!r} compares with the champion; give the {condition.metric} of the model that is live "
                "now, for the first retraining to be judged against",
            )

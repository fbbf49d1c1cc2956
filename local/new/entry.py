"""What `new` writes down: the experiment, the rows of the proof, the entry of the pipelines file. Decides only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from local.new.table import ColumnSeen, Form, TableSeen
from shared.configuration.starting import Data, Known, checks, gate
from shared.domain import evaluation
from studio.experiments.types import Experiment, Kind

if TYPE_CHECKING:  # learning takes seconds to load
    from studio.learning.ilearner import Scored
    from studio.learning.training import Trained

PROOF_ROWS = 20
CLASSES_AT_MOST = 20  #: of a label whose classes the checks name


def data_of(table: TableSeen, label: str, kind: Kind) -> Data:
    """Return what the checks are made of: the label and the columns that a model learns from."""
    features, answer = table.features(label), table.column(label)
    classes = tuple(answer.counts) if kind != "regression" and len(answer.counts) <= CLASSES_AT_MOST else ()
    learnt = [*features, answer]
    others = [column for column in table.columns if column not in learnt]
    return Data(
        rows=table.rows,
        columns=[
            Known(each.name, _type(each), each.seen, each.missing / table.rows, classes if each is answer else ())
            for each in learnt
        ],
        label=label,
        missing=table.missing,
        missing_elsewhere=max((column.missing / table.rows for column in others), default=0.0),
    )


def entry(name: str, table: TableSeen, trained: Trained, settings: Mapping[str, str], proof: str) -> dict[str, Any]:
    """Return the pipeline's entry. `settings` are the names of the settings with its addresses and its keys."""
    learnt, part = trained.part.learnt, trained.part
    counts = table.column(learnt.label).counts
    guess = max(counts.values()) / max(1, sum(counts.values()))
    return {
        "blobs": f"{name}/*.csv",
        "checks": checks(data_of(table, learnt.label, learnt.kind)),
        "arrival": {"settle": "2s"},
        "training": {
            "address": f"${{{settings['training']}}}",
            "key": f"${{{settings['training key']}}}",
            "model": part.model,
            "evaluation": part.evaluation,
            "scored": part.scored,
        },
        "gate": gate(evaluation.Kind(learnt.kind), trained.evaluation, guess),
        "targets": [
            {
                "kind": "classic",
                "name": "live",
                "address": f"${{{settings['endpoint']}}}",
                "key": f"${{{settings['endpoint key']}}}",
                "resource": part.resource,
                "scoring": {"address": f"${{{settings['scoring']}}}", "key": f"${{{settings['endpoint key']}}}"},
            }
        ],
        "proof": {"rows": proof},
    }


def experiment_text(experiment: Experiment) -> str:
    """Return the experiment's file."""
    content: dict[str, Any] = {
        "name": experiment.name,
        "seed": experiment.seed,
        "models": [{"label": each.label, "kind": each.kind, "learner": each.learner} for each in experiment.models],
    }
    if experiment.missing:
        content["missing"] = experiment.missing
    if experiment.leave_out:
        content["leave_out"] = experiment.leave_out
    content["parameters"] = experiment.parameters
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def telling_rows(scored: Scored, rows: int, count: int = PROOF_ROWS) -> list[int]:
    """Return the places of the rows whose answers change first when another model answers.

    Of a classification those are the rows nearest to the decision boundary, of a regression rows over the whole range.
    """
    if scored.probabilities is None:
        ordered = sorted(range(rows), key=lambda row: float(scored.labels[row]))
        step = max(1, rows // count)
        return sorted(ordered[::step][:count])

    def margin(row: int) -> float:
        most, second = sorted(map(float, scored.probabilities[row]), reverse=True)[:2]
        return most - second

    return sorted(sorted(range(rows), key=margin)[:count])


def proof_rows(
    columns: Mapping[str, Sequence[str]], table: TableSeen, label: str, places: Sequence[int]
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the proof: what the model learns from, and the label behind it."""
    names = [*(column.name for column in table.features(label)), label]
    return names, [[columns[name][place] for name in names] for place in places]


def _type(column: ColumnSeen) -> str | None:
    # A column of whole numbers may have a fraction one day, and trains all the same.
    return "number" if column.numeric else "text" if column.form is Form.TEXT else None

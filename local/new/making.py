"""Trains and publishes the first model of a person's own data, and writes down the pipeline that retrains it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local.new.entry import entry, experiment_text, proof_rows, telling_rows
from local.new.place import Place
from local.new.table import TableSeen
from shared.base.yaml_file import load
from shared.configuration.writing import write_entries
from shared.domain.fleets import NAME
from studio.errors import ModuleError
from studio.experiments.types import Experiment, Kind, Learnt
from studio.learning.tables import Columns

if TYPE_CHECKING:  # learning takes seconds to load: the questions and what is wrong with the answers come before it
    from studio.learning.training import Trained

SEED = 7
LEARNERS: dict[Kind, tuple[str, ...]] = {
    "two-class": ("logistic regression", "boosted trees"),
    "multiclass": ("logistic regression", "boosted trees"),
    "regression": ("ridge", "boosted trees"),
}
#: by which metric learners are compared, and the gate's first rule judges
METRIC: dict[Kind, str] = {
    "two-class": "AUC",
    "multiclass": "Overall accuracy",
    "regression": "Coefficient of Determination",
}


class Refused(Exception):
    """The data, the name or the pipelines file does not allow it; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be made: `name` is the pipeline's, `file` the table's file name."""

    name: str
    file: str
    label: str
    kind: Kind
    learners: tuple[str, ...]  #: those to compare
    table: TableSeen


@dataclass(frozen=True)
class Made:
    """What was made."""

    trained: Trained
    tried: Mapping[str, float]  #: by learner, its metric on rows it has not seen
    files: list[Path]


def refuse_name(name: str, pipelines: Path) -> None:
    """Raise `Refused` for a name that no pipeline can have, or that the pipelines file has already."""
    if not NAME.fullmatch(name):
        raise Refused(f"the name {name!r} is not a pipeline's name: lower-case letters, digits and dashes, 63 at most")
    known = load(pipelines.read_text("utf-8")) if pipelines.exists() else None
    if isinstance(known, dict) and isinstance(known.get("pipelines"), dict) and name in known["pipelines"]:
        raise Refused(f"{pipelines.name} has a pipeline {name!r} already; choose another name, or remove that entry")


def make(place: Place, wanted: Wanted, content: bytes, columns: Columns) -> Made:
    """Train, publish in the place's Studio, and write the experiment, the proof's rows, the settings and the entry.

    The entry comes last, as it needs all the others: a run that dies before it has changed no pipeline.
    Raise `Refused`, and `BadConfiguration` where the pipelines file cannot take the entry.
    """
    studio, address, pipelines = place.studio, place.address, place.pipelines
    refuse_name(wanted.name, pipelines)
    trained, tried, experiment = _best(wanted, columns)
    predictive = studio.run(experiment, content, wanted.file)
    service = studio.deploy_training(experiment)
    [live] = studio.deploy_classic(predictive)
    names = setting_names(wanted.name)
    settings = {
        names["training"]: f"{address}{service.path}",
        names["training key"]: service.key,
        names["endpoint"]: f"{address}{live.management}",
        names["scoring"]: f"{address}{live.path}",
        names["endpoint key"]: live.key,
    }
    described = pipelines.parent / "experiments" / f"{wanted.name}.yaml"
    rows = pipelines.parent / "proof" / f"{wanted.name}.csv"
    _write(described, experiment_text(experiment))
    _write_rows(rows, trained, wanted)
    proof = rows.relative_to(pipelines.parent).as_posix()
    suffix = Path(wanted.file).suffix.lower()
    body = {**entry(wanted.name, wanted.table, trained, names, proof), "blobs": f"{wanted.name}/*{suffix}"}
    with place.changing():
        place.add(settings)
        write_entries(pipelines, {wanted.name: body})
    return Made(trained, tried, [described, rows, pipelines])


def setting_names(name: str) -> dict[str, str]:
    """Return the names of the settings that a pipeline's entry takes its addresses and keys from."""
    prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
    prefix = prefix if prefix[0].isalpha() else f"P_{prefix}"
    return {
        "training": f"{prefix}_TRAINING_ADDRESS",
        "training key": f"{prefix}_TRAINING_KEY",
        "endpoint": f"{prefix}_ENDPOINT_ADDRESS",
        "scoring": f"{prefix}_SCORING_ADDRESS",
        "endpoint key": f"{prefix}_ENDPOINT_KEY",
    }


def _best(wanted: Wanted, columns: Columns) -> tuple[Trained, dict[str, float], Experiment]:
    """Return the model of the learner that does best on rows it has not seen, each learner's metric, its experiment."""
    from studio.learning.learners import FRACTION
    from studio.learning.training import train

    found: dict[str, tuple[Trained, Experiment]] = {}
    for learner in wanted.learners:
        experiment = Experiment(
            name=wanted.name.replace("-", " ").capitalize(),
            seed=SEED,
            models=[Learnt(label=wanted.label, kind=wanted.kind, learner=learner)],
            parameters={FRACTION: "0.7"},
            missing=list(wanted.table.missing),
            leave_out=wanted.table.useless(wanted.label),
        )
        try:
            [trained] = train(experiment, columns, {})
        except ModuleError as error:
            raise Refused(f"the training refuses the table: {error.message}") from None
        found[learner] = trained, experiment
    metrics = {learner: trained.evaluation[METRIC[wanted.kind]] for learner, (trained, _) in found.items()}
    # NaN compares with nothing: a metric that cannot be computed is worse than any that can.
    best = max(metrics, key=lambda learner: metrics[learner] if metrics[learner] == metrics[learner] else -1e300)
    return found[best][0], metrics, found[best][1]


def _write_rows(file: Path, trained: Trained, wanted: Wanted) -> None:
    rows = {name: [str(cell) for cell in cells] for name, cells in trained.scored.items()}
    features = [feature.name for feature in trained.model.manifest.features]
    scored = trained.model.predict({name: list(rows[name]) for name in features})
    header, values = proof_rows(rows, wanted.table, wanted.label, telling_rows(scored, len(rows[wanted.label])))
    file.parent.mkdir(exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, lineterminator="\n").writerows([header, *values])


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")

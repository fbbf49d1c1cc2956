"""The experiments that this Studio can train: one YAML file each, its own and those of the user.

    name: Wine
    seed: 7
    parameters: {Fraction of rows for training: "0.7"}
    models:
      - {label: cultivar, kind: multiclass, learner: logistic regression}
      - {label: alcohol, kind: regression, learner: ridge}

Each model is learnt from all columns but the labels. Its training ports follow the order of the models: the model, its
evaluation and the scored held-out rows are `output1` to `output3` of the first, `output4` to `output6` of the second.

`missing: [NA]` names cells that stand for a missing value beside an empty one, as Clean Missing Data does.
`leave_out: [id]` names columns that no model learns from, as Select Columns in Dataset does.

With `import`, the name of one of the parameters, an Import Data module stands in place of the input port: the service
has no input, and trains on the blobs of the Studio's own storage that the parameter names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml

from studio.experiments.types import Experiment, Kind

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml")


def load_experiment(name: str | Path) -> Experiment:
    """Return the experiment of the file, or of this name among the Studio's own; ValueError says what is wrong."""
    file = Path(name) if str(name).endswith(SUFFIXES) else FOLDER / f"{name}.yaml"
    try:
        experiment = msgspec.convert(_with_texts(yaml.safe_load(file.read_text("utf-8"))), Experiment)
        _check(experiment)
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
        raise ValueError(
            f"The experiment {str(name)!r} does not exist; give a .yaml file, or one of: {known}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        kinds = f"; the kinds are {', '.join(get_args(Kind))}" if "enum value" in str(error) else ""
        raise ValueError(f"{file} is not an experiment: {error}{kinds}") from None
    except (OSError, _Wrong) as error:
        raise ValueError(f"{file}: {error}") from None
    return experiment


class _Wrong(Exception):
    """A value of an experiment's file: its key, what is wrong and what would be right."""


def _with_texts(content: Any) -> Any:
    """Return the file's content with its parameters as texts: a person writes 0.7 without quotes."""
    if isinstance(content, dict) and isinstance(content.get("parameters"), dict):
        texts = {
            name: str(value) if isinstance(value, (int, float)) else value
            for name, value in content["parameters"].items()
        }
        return {**content, "parameters": texts}
    return content


def _check(experiment: Experiment) -> None:
    # Imported here: a command that only reads records does not wait for scikit-learn.
    from studio.errors import ModuleError
    from studio.learning.learners import LEARNERS, SPLIT, names_for, read_parameters

    if not experiment.models:
        raise _Wrong("models: the list is empty; an experiment has one model at least")
    if not 0 <= experiment.seed < 2**32:
        raise _Wrong(f"seed: {experiment.seed} is not a number from 0 to {2**32 - 1}")
    known: set[str] = set(SPLIT)
    if experiment.imports is not None:
        if experiment.imports not in experiment.parameters:
            raise _Wrong(f"import: {experiment.imports!r} is not one of its parameters; give it there with a path")
        known.add(experiment.imports)
    if labels := sorted({*experiment.labels} & {*experiment.leave_out}):
        raise _Wrong(f"leave_out: {labels[0]!r} is a label, and a model needs its label; remove it here")
    for index, learnt in enumerate(experiment.models):
        able = names_for(learnt.kind)
        if learnt.learner not in able:
            key = f"models[{index}].learner: {learnt.learner!r}"
            raise _Wrong(f"{key} is not a learner for {learnt.kind}; those are: {', '.join(able)}")
        if experiment.labels.index(learnt.label) != index:
            raise _Wrong(f"models[{index}].label: another model predicts {learnt.label!r} already; give another column")
        known.update(LEARNERS[learnt.learner].parameters)
        try:
            read_parameters({**SPLIT, **LEARNERS[learnt.learner].parameters}, experiment.parameters)
        except ModuleError as error:
            raise _Wrong(f"parameters: {error.message}") from None
    if unknown := sorted(experiment.parameters.keys() - known):
        names = ", ".join(sorted(known))
        raise _Wrong(f"parameters: {unknown[0]!r} is not a parameter of its learners; those are: {names}")

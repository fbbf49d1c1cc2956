"""The experiments this Studio can train: one YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import yaml

FOLDER = Path(__file__).parent

Kind = Literal["two-class", "multiclass", "regression"]


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training experiment: which column is learnt from all others, by what learner, on which share of the rows.

    `parameters` are the web service's global parameters with their defaults; `model`, `evaluation` name its outputs.
    """

    id: str
    name: str
    kind: Kind
    label: str
    learner: str
    seed: int
    parameters: dict[str, str] = {}
    input: str = "input1"
    model: str = "output1"
    evaluation: str = "output2"

    @property
    def resource(self) -> str:
        """The name of its trained model."""
        return f"{self.name} [trained model]"


def load_experiment(experiment_id: str) -> Experiment:
    """Return the experiment, or raise ValueError with the ones there are."""
    file = FOLDER / f"{experiment_id}.yaml"
    known = sorted(each.stem for each in FOLDER.glob("*.yaml"))
    if experiment_id not in known:
        raise ValueError(f"There is no experiment {experiment_id!r}; there are: {', '.join(known)}")
    return msgspec.convert({"id": experiment_id, **yaml.safe_load(file.read_text("utf-8"))}, Experiment)

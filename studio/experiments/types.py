"""What an experiment is: its models, parameters and ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

INPUT = "input1"

Kind = Literal["two-class", "multiclass", "regression"]


class Learnt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model of an experiment: which column it predicts, and by what learner.

    `input` names the input of the predictive web service whose rows it scores.
    """

    label: str
    kind: Kind
    learner: str
    input: str = INPUT


class Experiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A training experiment. `parameters` are the web service's global parameters with their defaults.

    `imports` is the one that has the path of its Import Data module; None for an experiment with an input port.
    `missing` are cells that stand for a missing value beside an empty one. No model learns the columns `leave_out`.
    """

    name: str
    seed: int
    models: list[Learnt]
    parameters: dict[str, str] = {}
    imports: str | None = msgspec.field(default=None, name="import")
    missing: list[str] = []
    leave_out: list[str] = []

    @property
    def inputs(self) -> list[str]:
        """The input ports of its web service."""
        return [] if self.imports else [INPUT]

    @property
    def labels(self) -> list[str]:
        return [learnt.label for learnt in self.models]

    def parts(self) -> Iterator[Part]:
        """Yield each model with the names of its resource and its ports."""
        for index, learnt in enumerate(self.models):
            number = f" {index + 1}" if index else ""
            ports = (f"output{3 * index + port}" for port in (1, 2, 3))
            yield Part(learnt, f"{self.name} [trained model]{number}", *ports)


class Part(msgspec.Struct, frozen=True):
    """One model of an experiment with the names that Studio gives it."""

    learnt: Learnt
    resource: str  #: of the trained model in a predictive web service
    model: str  #: output port that gives the ilearner
    evaluation: str
    scored: str  #: output port that gives the held-out rows, scored

"""What a trained model takes and gives, as the manifest in its file says. Needs none of the libraries of learning."""

from __future__ import annotations

from typing import Literal

import msgspec

from studio.experiments.types import Kind

SUFFIX = ".ilearner"  #: of the name of a model's file


class Column(msgspec.Struct, frozen=True):
    """A column and its type, in the names that the request-response service answers."""

    name: str
    type: Literal["Double", "Int32", "String"]

    @property
    def numeric(self) -> bool:
        return self.type != "String"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the model takes and gives.

    `classes` are in the order of its probabilities; the last is the positive. `missing` are the cells of its rows that
    stand for a missing value beside an empty one.
    """

    experiment: str
    kind: Kind
    label: Column
    features: list[Column]
    classes: list[str] = []
    missing: list[str] = []

    @property
    def columns(self) -> list[Column]:
        """The columns of its rows: the label is one of them, as in the data it was trained on."""
        return [*self.features, self.label]

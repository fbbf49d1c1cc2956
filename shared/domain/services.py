"""The services that a pipeline uses, and how they are asked: training, targets, scoring, bake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.base.secret import Secret
from shared.domain.values import Address, Duration, ResourceId, read_duration


def default_duration(text: str) -> Any:
    return msgspec.field(default_factory=lambda: read_duration(text))


class FilePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: a key it does not know is a mistake."""


class TrainingService(FilePart, frozen=True, kw_only=True):
    """The training web service: its Batch Execution Service makes the model and its evaluation."""

    address: Annotated[Address, Meta(description="Base address, up to and with /services/{id}")]
    key: Annotated[Secret, Meta(description="API key of the service; take it from a setting: ${NAME}")]
    input: Annotated[str | None, Meta(description="Name of the input port; input1")] = None
    folder: Annotated[
        str | None,
        Meta(description="Instead of input: the global parameter with the path of the experiment's Import Data module"),
    ] = None
    model: Annotated[str, Meta(description="Name of the output port that gives the ilearner")]
    evaluation: Annotated[str, Meta(description="Name of the output port that gives the metrics")]
    scored: Annotated[
        str | None,
        Meta(description="Name of the output port that gives the held-out rows as the new model scores them"),
    ] = None
    parameters: Annotated[dict[str, str], Meta(description="Global parameters of each job")] = {}
    waiting: Annotated[Duration, Meta(description="Longest time in the queue; 6h")] = default_duration("6h")
    running: Annotated[Duration, Meta(description="Longest time running; 4h")] = default_duration("4h")
    cancel_late: Annotated[bool, Meta(description="Cancel the BES job that is past its deadline")] = False
    results: Annotated[
        list[Address],
        Meta(description="Blob addresses results may be read from, beyond the app's own storage"),
    ] = []

    @property
    def place(self) -> tuple[Address, Secret]:
        return self.address, self.key

    @property
    def patience(self) -> float:
        """The longest time of a job at the service, and of trouble with it, in seconds."""
        return self.waiting + self.running

    @property
    def port(self) -> str:
        """The input port, where `folder` is not given."""
        return self.input or "input1"


class ScoringService(FilePart, frozen=True, kw_only=True):
    """Where rows are scored (RRS): by address and key, or where a Classic endpoint itself says, at `services`."""

    address: Annotated[Address | None, Meta(description="Base address, up to and with /services/{id}")] = None
    key: Annotated[Secret | None, Meta(description="API key; take it from a setting: ${NAME}")] = None
    services: Annotated[
        Address | None,
        Meta(description="In place of both, the host that the endpoint's own address must be on: https://..."),
    ] = None
    input: Annotated[str, Meta(description="Name of the input port")] = "input1"
    output: Annotated[str, Meta(description="Name of the output port")] = "output1"

    @property
    def place(self) -> tuple[Address, Secret]:
        """The address and the key, once they are known."""
        assert self.address is not None and self.key is not None, "checked when the file is read, or asked for"
        return self.address, self.key


class ClassicTarget(FilePart, frozen=True, kw_only=True, tag_field="kind", tag="classic"):
    """An added endpoint of a Classic predictive web service."""

    name: str
    address: Annotated[Address, Meta(description="The PATCH address, .../webservices/{id}/endpoints/{name}")]
    key: Annotated[Secret, Meta(description="The endpoint's API key or the workspace token")]
    resource: Annotated[str, Meta(description="Exact name of the trained model: '... [trained model]'")]
    scoring: ScoringService


class NewTarget(FilePart, frozen=True, kw_only=True, tag_field="kind", tag="new"):
    """A New predictive web service: a resource of the Azure Resource Manager."""

    name: str
    address: Annotated[Address, Meta(description="The resource manager; Azure's own")] = msgspec.field(
        default_factory=lambda: Address("https://management.azure.com")
    )
    id: Annotated[ResourceId, Meta(description="/subscriptions/{id}/resourceGroups/{group}/providers/...")]
    token: Annotated[Secret | None, Meta(description="Access token; without it the app's identity asks for one")] = None
    asset: Annotated[str, Meta(description="Exact name of the asset: '... [trained model]'")]
    scoring: ScoringService


Target = ClassicTarget | NewTarget
KINDS: dict[str, Any] = {"classic": ClassicTarget, "new": NewTarget}


class BakeSettings(FilePart, frozen=True, kw_only=True):
    """Checks of a promoted model by each poll. A bad model is rolled back."""

    time: Annotated[Duration, Meta(description="How long a new model is checked; 30m")] = default_duration("30m")
    slower: Annotated[float, Meta(gt=1, description="Times as slow as before, at the median: too slow")] = 5.0
    failures: Annotated[int, Meta(ge=1, description="Checks in a row that must not all fail")] = 3


class ApprovalSettings(FilePart, frozen=True, kw_only=True):
    """When a person decides. `gate.undecided: ask` asks too."""

    required: Annotated[bool, Meta(description="Ask for each model that the gate passes")] = False
    within: Annotated[Duration, Meta(description="How long the question stands; 7d")] = default_duration("7d")


@dataclass(frozen=True)
class Description:
    """What a service says of itself; an empty set where it says nothing. `columns` are those of its inputs."""

    inputs: frozenset[str]
    outputs: frozenset[str]
    parameters: frozenset[str]
    columns: Mapping[str, frozenset[str]]

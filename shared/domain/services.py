"""The services that a pipeline uses, and how they are asked: training, targets, scoring, bake."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec
from msgspec import Meta

from shared.base.secret import Secret
from shared.domain.values import Address, Duration, ResourceId, read_duration


def default_duration(text: str) -> Any:
    return msgspec.field(default_factory=lambda: read_duration(text))


class FilePart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: a key it does not know is a mistake."""


class Outputs(NamedTuple):
    """The names of a training's outputs; None for one that it does not have."""

    model: str
    evaluation: str | None
    scored: str | None
    champion: str | None = None  #: the same rows, scored by the champion


class NameRule(NamedTuple):
    """The names that a service allows for an endpoint."""

    pattern: re.Pattern[str]
    words: str


class TrainingService(FilePart, frozen=True, kw_only=True, tag_field="kind", tag="studio"):
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
        list[Address], Meta(description="Blob addresses results may be read from, beyond the app's own storage")
    ] = []

    metrics: ClassVar[Mapping[str, str]] = {}  #: the names of a run; a table has its own
    scored_columns: ClassVar[Mapping[str, str]] = {}  #: the names of the scored columns, where they are others
    OF_MEMBER: ClassVar = ("parameters",)  #: the keys that may have the {key} of a fleet
    copies: ClassVar[bool] = False  #: whether a single file is copied before it is trained on
    job_word: ClassVar[str] = "BES job"  #: what the service's job is called
    runs_once_made: ClassVar[bool] = False  #: whether a job runs although the answer to its making was lost

    @property
    def place(self) -> tuple[Address, Secret]:
        return self.address, self.key

    @property
    def where(self) -> str:
        """Where the jobs run: those at one place are asked for together."""
        return self.address

    @property
    def outputs(self) -> Outputs:
        return Outputs(self.model, self.evaluation, self.scored)

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

    OF_MEMBER: ClassVar = ("name", "address")
    ENDPOINT: ClassVar = NameRule(re.compile(r"[a-z0-9]{1,24}"), "1 to 24 lower-case letters and digits")
    stages: ClassVar[bool] = False  #: whether a new model is made ready beside the live one

    @property
    def endpoint(self) -> str:
        return self.address.rpartition("/")[2]

    @property
    def endpoint_at(self) -> str:
        """Which endpoint of which service it is."""
        return self.address

    @property
    def model_at(self) -> str:
        """Which of the endpoint's models it is, and what two pipelines must not both replace."""
        return f"{self.endpoint_at} {self.resource}"

    @property
    def batch_output(self) -> str | None:
        """The output port of a BES job that scores many rows; None where rows are scored by request only."""
        return self.scoring.output


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

    OF_MEMBER: ClassVar = ()  # a fleet has none
    stages: ClassVar[bool] = False

    @property
    def endpoint_at(self) -> str:
        return f"{self.address}{self.id}"

    @property
    def model_at(self) -> str:
        return f"{self.endpoint_at} {self.asset}"

    @property
    def batch_output(self) -> str | None:
        return self.scoring.output


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

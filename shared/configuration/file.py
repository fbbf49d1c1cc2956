"""`pipelines.yaml` as it is written: every key, with what it means. No value is checked against another here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.checks import Checks
from shared.configuration.kinds import Address, Duration, ResourceId, Schedule, read_duration, schema_hook
from shared.gate.judging import Undecided
from shared.secret import Secret


def _default(text: str) -> Any:
    return msgspec.field(default_factory=lambda: read_duration(text))


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the file: a key it does not know is a mistake."""


class Training(Part, frozen=True, kw_only=True):
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
    waiting: Annotated[Duration, Meta(description="Longest time in the queue; 6h")] = _default("6h")
    running: Annotated[Duration, Meta(description="Longest time running; 4h")] = _default("4h")
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


class Gate(Part, frozen=True, kw_only=True):
    """When a model is good enough."""

    rules: Annotated[
        list[str],
        Meta(
            min_length=1,
            description="All must hold: 'AUC >= champion - 0.005', 'AUC >= 0.9 or Recall >= 0.8', "
            "'for each sex: AUC >= champion - 0.02'",
        ),
    ]
    baseline: Annotated[
        dict[str, float],
        Meta(description="The champion's metrics until this app has promoted one, without training.scored"),
    ] = {}
    confidence: Annotated[
        float, Meta(gt=0.5, lt=1, description="How sure a comparison on the same rows must be, by a paired bootstrap")
    ] = 0.95
    undecided: Annotated[
        Undecided, Meta(description="When the difference is within the noise: keep the champion, promote, or ask")
    ] = "keep"
    label: Annotated[str | None, Meta(description="Column with the truth, unless checks.label says it")] = None
    rows_at_most: Annotated[
        int, Meta(ge=100, le=100_000, description="Held-out rows to compare on, by chance where there are more")
    ] = 10_000


class Scoring(Part, frozen=True, kw_only=True):
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
        assert self.address is not None, "checked when the file is read, or asked of the endpoint"
        assert self.key is not None, "checked when the file is read, or asked of the endpoint"
        return self.address, self.key


class ClassicTarget(Part, frozen=True, kw_only=True, tag_field="kind", tag="classic"):
    """An added endpoint of a Classic predictive web service."""

    name: str
    address: Annotated[Address, Meta(description="The PATCH address, .../webservices/{id}/endpoints/{name}")]
    key: Annotated[Secret, Meta(description="The endpoint's API key or the workspace token")]
    resource: Annotated[str, Meta(description="Exact name of the trained model: '... [trained model]'")]
    scoring: Scoring


class NewTarget(Part, frozen=True, kw_only=True, tag_field="kind", tag="new"):
    """A New predictive web service: a resource of the Azure Resource Manager."""

    name: str
    address: Annotated[Address, Meta(description="The resource manager; Azure's own")] = msgspec.field(
        default_factory=lambda: Address("https://management.azure.com")
    )
    id: Annotated[ResourceId, Meta(description="/subscriptions/{id}/resourceGroups/{group}/providers/...")]
    token: Annotated[Secret | None, Meta(description="Access token; without it the app's identity asks for one")] = None
    asset: Annotated[str, Meta(description="Exact name of the asset: '... [trained model]'")]
    scoring: Scoring


Target = ClassicTarget | NewTarget
KINDS: dict[str, Any] = {"classic": ClassicTarget, "new": NewTarget}


class Proof(Part, frozen=True, kw_only=True):
    """The rows that show which model answers."""

    rows: Annotated[str, Meta(description="CSV file beside this one: a header and up to 100 rows")]
    timeout: Annotated[Duration, Meta(description="Longest wait for new answers after an update; 3m")] = _default("3m")


class Arrival(Part, frozen=True, kw_only=True):
    """When dropped data is whole, and what of it makes one retraining."""

    settle: Annotated[Duration, Meta(description="How long a blob must be unchanged; 10s")] = _default("10s")
    batch: Annotated[
        Literal["each", "quiet", "marker"],
        Meta(description="Each blob by itself; all until nothing came for a while; all of a folder with a marker"),
    ] = "each"
    quiet: Annotated[Duration, Meta(description="How long nothing must come, with batch: quiet; 5m")] = _default("5m")
    at_most: Annotated[Duration, Meta(description="Longest wait for a batch; 1h")] = _default("1h")
    marker: Annotated[str, Meta(description="Name of the marker; one in .json lists files and hashes")] = "_SUCCESS"
    rows: Annotated[
        Literal["new", "all"], Meta(description="Train on the new rows, or on those of the live model and the new")
    ] = "new"
    jobs: Annotated[int, Meta(ge=1, description="Jobs of the pipeline that run at once; 2")] = 2
    refused: Annotated[
        Literal["stay", "move"],
        Meta(description="Refused data is copied into quarantine; the original stays, or is deleted then"),
    ] = "stay"


class Approvals(Part, frozen=True, kw_only=True):
    """When a person decides. `gate.undecided: ask` asks too."""

    required: Annotated[bool, Meta(description="Ask for each model that the gate passes")] = False
    within: Annotated[Duration, Meta(description="How long the question stands; 7d")] = _default("7d")


class Bake(Part, frozen=True, kw_only=True):
    """A look again and again at what was promoted, which rolls back what turns out bad."""

    time: Annotated[Duration, Meta(description="How long a new model is watched; 30m")] = _default("30m")
    slower: Annotated[float, Meta(gt=1, description="Times as slow as before, at the median: too slow")] = 5.0
    failures: Annotated[int, Meta(ge=1, description="Looks in a row that may not fail")] = 3


class Rollout(Part, frozen=True, kw_only=True):
    """How the models of an entry with for_each go live: together, when a message asks for it, in waves."""

    waves: Annotated[
        list[int | str], Meta(min_length=1, description="Up to how many members each wave goes; [1, 10%, 100%]")
    ] = msgspec.field(default_factory=lambda: [1, "10%", "100%"])
    failures_at_most: Annotated[int | str, Meta(description="Members that may fail before it stops: 0, or 2%")] = 0
    at_once: Annotated[int, Meta(ge=1, le=1000, description="Members under way at once; 50")] = 50
    within: Annotated[Duration, Meta(description="How long a member may take before it counts as failed; 1h")] = (
        _default("1h")
    )


class Entry(Part, frozen=True, kw_only=True):
    """One pipeline as it is written; with `for_each`, many."""

    blobs: Annotated[str, Meta(description="Path pattern within the training container: income/*.csv")]
    for_each: Annotated[
        str | None, Meta(description="Key, such as location, that stands as {location} in blobs: a pipeline for each")
    ] = None
    only: Annotated[list[str], Meta(description="The values that the key may have; any unless given")] = []
    rollout: Rollout | None = None
    checks: Checks = Checks()
    arrival: Arrival = msgspec.field(default_factory=Arrival)
    schedule: Annotated[
        Schedule | None, Meta(description="Retrain on the data that is live at these times: 0 0 3 * * 1")
    ] = None
    training: Training
    gate: Gate
    approval: Approvals = msgspec.field(default_factory=Approvals)
    bake: Bake | None = None
    targets: Annotated[list[Target], Meta(min_length=1)]
    proof: Proof


class PipelinesFile(Part, frozen=True, kw_only=True):
    """The whole file, as the JSON Schema describes it."""

    pipelines: dict[str, Entry]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relearn pipelines",
        **msgspec.json.schema(PipelinesFile, schema_hook=schema_hook),
    }

"""The services of Azure Machine Learning v2 that a pipeline uses: training, endpoint, and shares of its calls."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from shared.domain.gate.scored import scored_names
from shared.domain.services import FilePart, NameRule, Outputs, default_duration
from shared.domain.values import Address, Duration, WorkspaceId

Workspace = Annotated[WorkspaceId, Meta(description="Resource id of the workspace: .../workspaces/{name}")]
ManagementAddress = Annotated[Address, Meta(description="The resource manager; Azure's own")]


#: the types of an input that can get the champion
CHAMPION_TYPES = ("mlflow_model", "custom_model", "uri_folder")


def _azure() -> Address:
    return Address("https://management.azure.com")


class ModelOutput(FilePart, frozen=True, kw_only=True):
    """The output of the training that gives the model, a folder."""

    output: Annotated[str, Meta(description="Name of the output; model")] = "model"
    type: Annotated[
        Literal["mlflow_model", "custom_model"], Meta(description="What the folder holds; mlflow_model")
    ] = "mlflow_model"


class ScoredOutput(FilePart, frozen=True, kw_only=True):
    """The output that gives the held-out rows as the new model scores them, and how its columns are named."""

    output: Annotated[str, Meta(description="Name of the output; scored")] = "scored"
    file: Annotated[str, Meta(description="Name of the CSV file in the output's folder; scored.csv")] = "scored.csv"
    label: Annotated[str | None, Meta(description="Column with the label, or the value, that the model gives")] = None
    probability: Annotated[
        str | None, Meta(description="Column with the probability of the positive class, of a two-class model")
    ] = None
    probabilities: Annotated[
        dict[str, str], Meta(description="Columns with the probabilities, by class; of two, the last is positive")
    ] = msgspec.field(default_factory=dict)


class ChampionScored(FilePart, frozen=True, kw_only=True):
    """The live model as an input of the training, which scores the held-out rows with it too."""

    input: Annotated[str, Meta(description="Name of the input that gets the live model; champion")] = "champion"
    scored: Annotated[
        str, Meta(description="Name of the output with the rows as the live model scores them, with the same columns")
    ] = "champion_scored"
    datastore: Annotated[
        str | None, Meta(description="Datastore of the workspace over the app's container models; the first target's")
    ] = None


class AzureMLTraining(FilePart, frozen=True, kw_only=True, tag_field="kind", tag="azureml"):
    """A job of an Azure Machine Learning workspace: a command component, or the job of a YAML file."""

    workspace: Workspace
    address: ManagementAddress = msgspec.field(default_factory=_azure)
    component: Annotated[str | None, Meta(description="Command component of the workspace: NAME:VERSION")] = None
    job: Annotated[
        str | None, Meta(description="In place of component: a command job as az ml takes it, a file beside this one")
    ] = None
    compute: Annotated[str | None, Meta(description="Name of the compute cluster")] = None
    serverless: Annotated[
        str | None, Meta(description="In place of compute: an instance type of serverless compute")
    ] = None
    data: Annotated[str, Meta(description="Name of the input that gets the data, a uri_file; data")] = "data"
    datastore: Annotated[str, Meta(description="Datastore of the workspace over the app's container batches")]
    model: ModelOutput = msgspec.field(default_factory=ModelOutput)
    scored: ScoredOutput | None = None
    champion: ChampionScored | None = None
    metrics: Annotated[
        dict[str, str], Meta(description="The gate's metrics by the names of the run: {AUC: roc_auc}")
    ] = msgspec.field(default_factory=dict)
    parameters: Annotated[dict[str, str], Meta(description="Inputs of each job, beside the data")] = msgspec.field(
        default_factory=dict
    )
    experiment: Annotated[str | None, Meta(description="Experiment of the jobs; the name of the entry")] = None
    waiting: Annotated[Duration, Meta(description="Longest time in the queue, image build included; 6h")] = (
        default_duration("6h")
    )
    running: Annotated[Duration, Meta(description="Longest time running; 4h")] = default_duration("4h")
    cancel_late: Annotated[bool, Meta(description="Cancel the job that is past its deadline")] = False
    results: Annotated[
        list[Address], Meta(description="Blob addresses a live model may be read from, beyond the app's own storage")
    ] = msgspec.field(default_factory=list)

    OF_MEMBER: ClassVar = ("parameters", "experiment")
    copies: ClassVar[bool] = True  # it is read hours later, and what was checked must be what is trained on
    job_word: ClassVar[str] = "training job"
    runs_once_made: ClassVar[bool] = True
    folder: ClassVar[str | None] = None

    @property
    def where(self) -> str:
        return f"{self.address}{self.workspace}"

    @property
    def outputs(self) -> Outputs:
        scored, champion = self.scored, self.champion
        return Outputs(
            self.model.output, None, scored.output if scored else None, champion.scored if champion else None
        )

    @property
    def scored_files(self) -> dict[str, str]:
        """The files of scored rows, by output."""
        outputs = self.outputs
        named = [name for name in (outputs.scored, outputs.champion) if name is not None]
        return dict.fromkeys(named, self.scored.file) if self.scored else {}

    @property
    def scored_columns(self) -> Mapping[str, str]:
        scored = self.scored
        return scored_names(scored.label, scored.probability, scored.probabilities) if scored else {}

    @property
    def patience(self) -> float:
        return self.waiting + self.running


class DeploymentChanges(FilePart, frozen=True, kw_only=True):
    """What a new deployment has otherwise than the live one, which is its pattern."""

    instance_type: Annotated[str | None, Meta(description="Instance type: Standard_DS3_v2")] = None
    instances: Annotated[Annotated[int, Meta(ge=1, le=50)] | None, Meta(description="Number of instances")] = None
    environment: Annotated[str | None, Meta(description="Environment of the workspace: NAME:VERSION")] = None
    variables: Annotated[dict[str, str], Meta(description="Environment variables, added to the pattern's")] = (
        msgspec.field(default_factory=dict)
    )


class OnlineScoring(FilePart, frozen=True, kw_only=True):
    """How an online endpoint is asked, and what its answers mean."""

    form: Annotated[
        Literal["mlflow", "json"],
        Meta(description="mlflow: input_data with columns; json: the form of `body`, for an own score.py"),
    ] = "mlflow"
    body: Annotated[
        str | None, Meta(description='With form json: the body, with {rows} for a list of objects: {"data": {rows}}')
    ] = None
    answer: Annotated[
        Literal["label", "value", "probability", "probabilities"],
        Meta(description="What the model gives for a row: its label, a number, P(positive class), or P of each class"),
    ] = "label"
    classes: Annotated[list[str], Meta(description="The classes, in the model's order; the last is positive")] = (
        msgspec.field(default_factory=list)
    )


class AzureMLOnlineTarget(FilePart, frozen=True, kw_only=True, tag_field="kind", tag="azureml-online"):
    """An online endpoint of an Azure Machine Learning workspace. Each new model is its own deployment."""

    name: str
    workspace: Workspace
    address: ManagementAddress = msgspec.field(default_factory=_azure)
    endpoint: Annotated[str, Meta(description="Name of the endpoint; its live deployment is the pattern of a new one")]
    model: Annotated[str, Meta(description="Name of the models in the workspace")]
    type: Annotated[Literal["mlflow_model", "custom_model"], Meta(description="What the models are; mlflow_model")] = (
        "mlflow_model"
    )
    datastore: Annotated[str, Meta(description="Datastore of the workspace over the app's container models")]
    deployment: DeploymentChanges = msgspec.field(default_factory=DeploymentChanges)
    scoring: OnlineScoring = msgspec.field(default_factory=OnlineScoring)
    hosts: Annotated[
        list[Address], Meta(description="Hosts of the scoring address, beyond *.inference.ml.azure.com of the service")
    ] = msgspec.field(default_factory=list)
    keep_former: Annotated[
        Duration, Meta(description="How long the former deployment is kept after the switch; it costs as long; 4h")
    ] = default_duration("4h")

    OF_MEMBER: ClassVar = ("name", "endpoint", "model")
    ENDPOINT: ClassVar = NameRule(
        re.compile(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]"),
        "3 to 32 letters, digits and single dashes, a letter first and no dash last",
    )
    stages: ClassVar[bool] = True
    batch_output: ClassVar[str | None] = None

    @property
    def endpoint_at(self) -> str:
        return f"{self.address}{self.workspace}/onlineEndpoints/{self.endpoint}"

    @property
    def model_at(self) -> str:
        return self.endpoint_at


class ShareSettings(FilePart, frozen=True, kw_only=True):
    """The steps in which a new model gets its share of an online endpoint's traffic."""

    steps: Annotated[
        list[Annotated[int, Meta(ge=1, le=100)]],
        Meta(min_length=1, description="Per cent of the calls, rising to 100: [10, 50, 100]"),
    ] = msgspec.field(default_factory=lambda: [100])
    bake: Annotated[Duration, Meta(description="How long each step below 100 is watched; 15m")] = default_duration(
        "15m"
    )
    mirror: Annotated[
        int, Meta(ge=0, le=50, description="Per cent of the calls copied to the new model before the first step; 0")
    ] = 0
    slower: Annotated[float, Meta(gt=1, description="Times as slow as the former model at the same time: too slow")] = (
        5.0
    )

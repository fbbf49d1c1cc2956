"""What MLflow keeps: experiments, runs, the models that they logged, and each value of a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from aml.state.records import Job, Records, now
from service.database import Record

Value = float | str  #: a number, or the name of one that JSON cannot write


class Experiment(Record, frozen=True):
    """`parent` is the same for all. MLflow knows an experiment by its number."""

    PARENT: ClassVar[str] = "experiments"

    name: str
    number: str
    created: int  #: milliseconds since the epoch
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Point(msgspec.Struct, kw_only=True, frozen=True):
    """One value of a metric."""

    value: Value
    timestamp: int
    step: int = 0

    @property
    def number(self) -> float:
        return float(self.value)


class Run(Record, frozen=True):
    """A run; its `parent` is its experiment. A job's run has the job's name as its id."""

    name: str  #: its id, as it was made
    title: str
    started: int
    ended: int | None = None
    status: str = "RUNNING"
    deleted: bool = False
    user: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    params: dict[str, str] = msgspec.field(default_factory=dict)
    metrics: dict[str, Point] = msgspec.field(default_factory=dict)  #: the latest of each
    models: dict[str, int] = msgspec.field(
        default_factory=dict
    )  #: the steps of the models that it logged, by their ids


class RunInputs(Record, frozen=True):
    """The data sets and the logged models that a run has used, as they were given; its `id` is the run's."""

    datasets: list[dict[str, Any]] = msgspec.field(default_factory=list)
    models: list[str] = msgspec.field(default_factory=list)


class Logged(Record, frozen=True):
    """A value that was logged; its `parent` is `{run}/{metric}`. The same value of the same moment is one."""

    point: Point


class LoggedModel(Record, frozen=True):
    """A model that was logged; its `parent` is its experiment. `artifacts` is where its files are."""

    name: str
    artifacts: str
    created: int
    modified: int
    run: str = ""  #: the id of the run that logged it
    kind: str = ""
    status: str = "LOGGED_MODEL_PENDING"
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    params: dict[str, str] = msgspec.field(default_factory=dict)
    metrics: dict[str, Point] = msgspec.field(default_factory=dict)


class ModelFolder(Record, frozen=True):
    """A folder of artifacts that is a logged model's: its `id` is the folder, its `parent` the model's id."""


#: how MLflow calls the states of a job
STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}


def artifacts_of(run: str) -> str:
    """Return where the artifacts of a run are, in the datastore of artifacts."""
    return f"ExperimentRun/dcid.{run}/"


def milliseconds() -> int:
    return int(now().timestamp() * 1000)


def experiment_of(records: Records, name: str) -> Experiment:
    """Return the experiment of that name; it is made if it is not there."""
    key = f"name/{name}"

    def make() -> Experiment:
        number = str(1 + records.count(Experiment, Experiment.PARENT))  # nothing else is made meanwhile
        return Experiment(id=key, parent=Experiment.PARENT, name=name, number=number, created=milliseconds())

    return records.find_or_make(Experiment, key, make)


def run_of_job(records: Records, job: Job) -> Run:
    """Return the run of a job; it is made if it is not there."""
    experiment = experiment_of(records, job.properties["experimentName"])
    tags = {"mlflow.runName": job.properties["displayName"], "mlflow.user": "local", **job.properties["tags"]}
    if parent := job.properties["properties"].get("azureml.parentRunId"):
        tags |= {"mlflow.parentRunId": parent, "mlflow.rootRunId": parent}
    made = Run(
        id=job.name.lower(),
        parent=experiment.id,
        name=job.name,
        title=job.properties["displayName"],
        started=int(job.created.timestamp() * 1000),
        user="local",
        tags=tags,
    )
    return records.find_or_make(Run, made.id, lambda: made)


class OtherParam(Exception):
    """A param of a run has another value already."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(f"The param {name!r} has the value {value!r} already.")
        self.name, self.value = name, value


def log(
    records: Records,
    run: str,
    metrics: list[tuple[str, Point]],
    *,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Add to the run of that id; nothing where a param has another value. A call may come again."""

    def change(found: Run) -> Run:
        for name, value in (params or {}).items():
            if found.params.get(name, value) != value:
                raise OtherParam(name, found.params[name])
        return msgspec.structs.replace(
            found,
            metrics=latest(found.metrics, metrics),
            tags={**found.tags, **(tags or {})},
            params={**found.params, **(params or {})},
        )

    records.change(Run, run, change)
    records.put(*(_logged(f"{run}/{name}", point) for name, point in metrics))


def _logged(parent: str, point: Point) -> Logged:
    return Logged(id=f"{parent}/{point.step}/{point.timestamp}/{point.value}", parent=parent, point=point)


def latest(known: dict[str, Point], logged: list[tuple[str, Point]]) -> dict[str, Point]:
    """Return the latest value of each metric."""
    found = dict(known)
    for name, point in logged:
        former = found.get(name)
        if former is None or (point.step, point.timestamp) >= (former.step, former.timestamp):
            found[name] = point
    return found


def value_of(given: Any) -> Value:
    """Return a metric's value as it is kept. Raises `ValueError` for what is not a number."""
    if given is None:
        return "NaN"
    number = float(given)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"

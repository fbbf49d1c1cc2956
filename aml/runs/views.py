"""A run as it is found and shown: what it logged, and of a job's run how the job went."""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import msgspec

from aml.call import Call
from aml.context import Context
from aml.runs.protocol import listed, missing
from aml.state.records import Job
from aml.state.runs import STATUS, Experiment, Point, Run, RunInputs, artifacts_of, run_of_job


def run_of(context: Context, name: str) -> Run:
    """Return the run of that id; a job has one from its beginning."""
    records = context.workspace.records
    found = records.find(Run, name.lower())
    if found is None and (job := job_of_run(context, name)):
        found = run_of_job(records, job)
    if found is None:
        raise missing(f"Run {name[:255]!r} not found.")
    return found


def job_of_run(context: Context, name: str) -> Job | None:
    """Return the job of a run: one of the workspace, or a node of a pipeline job."""
    records = context.workspace.records
    if job := records.find(Job, f"jobs/{name}".lower()):
        return job
    run = records.find(Run, name.lower())
    parent = run.tags.get("mlflow.parentRunId") if run else None
    return records.find(Job, f"jobs/{parent}/nodes/{name}".lower()) if parent else None


def points(metrics: dict[str, Point]) -> list[dict[str, Any]]:
    """Return the values of metrics as they are answered."""
    return [{"key": key, **msgspec.to_builtins(point)} for key, point in metrics.items()]


def artifact_uri(context: Context, call: Call, experiment: str, run: str) -> str:
    """Return where artifacts go: MLflow's plug-in has its own repository, and asks by the second release."""
    if call.names["release"] == "v1.0":
        return f"mlflow-artifacts:/{artifacts_of(run)}"
    host = call.base.partition("://")[2]
    return f"azureml://{host}/mlflow/v2.0{context.workspace.id}/experiments/{experiment}/runs/{run}/artifacts"


class RunView:
    """What is not asked for is not read: a search passes by many runs."""

    def __init__(self, context: Context, call: Call, run: Run) -> None:
        self._context, self._call, self.run = context, call, run

    @cached_property
    def job(self) -> Job | None:
        return job_of_run(self._context, self.run.name)

    @property
    def status(self) -> str:
        if self.job is None:
            return self.run.status
        return STATUS.get(self.job.status, "RUNNING" if self.job.begun else "SCHEDULED")

    @property
    def ended(self) -> int | None:
        if self.job is None:
            return self.run.ended
        return int(self.job.ended.timestamp() * 1000) if self.job.ended else None

    @cached_property
    def metrics(self) -> dict[str, Point]:
        """The latest values, which may be NaN on order, or late."""
        run, faults = self.run, self._context.faults
        if not faults.any:
            return run.metrics
        names = (run.name, run.id)
        if self.job and (late := faults.strike("late metrics", names)):
            shown_from = self.job.ended.timestamp() + late.delay if self.job.ended else None
            if shown_from is None or time.time() < shown_from:
                return {}
        if faults.strike("nan metrics", names):
            return {name: msgspec.structs.replace(point, value="NaN") for name, point in run.metrics.items()}
        return run.metrics

    @cached_property
    def experiment(self) -> str:
        found = self._context.workspace.records.find(Experiment, self.run.parent)
        assert found is not None, "experiments are not deleted"
        return found.number

    @property
    def artifacts(self) -> str:
        return artifact_uri(self._context, self._call, self.experiment, self.run.name)

    def fact(self, group: str, name: str) -> Any:
        """Return what a filter or an order asks for."""
        run = self.run
        if group == "metrics":
            point = self.metrics.get(name)
            return None if point is None else point.number
        if group != "attributes":
            return (run.params if group == "params" else run.tags).get(name)
        name = name.lower()
        direct = {"run_id": run.name, "run_name": run.title, "name": run.title, "user_id": run.user}
        if name in direct:
            return direct[name]
        if name in ("start_time", "created"):
            return run.started
        derived = {"status": "status", "end_time": "ended", "artifact_uri": "artifacts", "experiment_id": "experiment"}
        return getattr(self, derived[name]) if name in derived else None

    def shown(self) -> dict[str, Any]:
        run = self.run
        info: dict[str, Any] = {
            "run_id": run.name,
            "run_uuid": run.name,
            "run_name": run.title,
            "experiment_id": self.experiment,
            "user_id": run.user,
            "status": self.status,
            "start_time": run.started,
            "artifact_uri": self.artifacts,
            "lifecycle_stage": "deleted" if run.deleted else "active",
        }
        if self.ended is not None:
            info["end_time"] = self.ended
        data = {"metrics": points(self.metrics), "params": listed(run.params), "tags": listed(run.tags)}
        shown = {"info": info, "data": data}
        if used := self._context.workspace.records.find(RunInputs, run.id):
            models = [{"model_id": each} for each in used.models]
            shown["inputs"] = {"dataset_inputs": used.datasets, "model_inputs": models}
        if run.models:
            shown["outputs"] = {
                "model_outputs": [{"model_id": each, "step": step} for each, step in run.models.items()]
            }
        return shown

"""The trainings of a pipeline as jobs of a workspace.

The app names a job, so that a PUT that is made twice finds the same job. A job runs when it is made. Its outputs go to
where the job says, in the app's own storage.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shared.adapters.azureml.failures import reason_of
from shared.adapters.azureml.job_body import Order, address_of, is_ours, of_component, of_file
from shared.adapters.azureml.runs import Run
from shared.adapters.azureml.workspace import Workspace
from shared.adapters.http import understood
from shared.base.errors import AskHuman, BadConfiguration, NeverAgain, RetrainingError, ServiceRefused, UnexpectedAnswer
from shared.domain.azureml import AzureMLTraining
from shared.domain.job_file import JobFile
from shared.domain.jobs import Model
from shared.domain.ports import BesJob, BlobReference, Cancelled, Failed, Finished, NotStarted, Running

log = logging.getLogger("relearn.azureml")

BATCHES = "batches"  #: the container of the datastore
LAG = 120.0  #: seconds after a job's end in which its metrics may still come
_COMPONENT = re.compile(r"([\w.-]+):([\w.-]+)")
_WAITS = frozenset({"notstarted", "starting", "provisioning", "preparing", "queued"})
#: a job that does not respond may come back, as may one whose state the service does not know
_RUNS = frozenset({"running", "finalizing", "cancelrequested", "notresponding", "paused", "unknown"})
#: codes of errors that are not the training's own
_OF_THE_SERVICE = frozenset({"systemerror", "serviceerror", "serverstopped"})
_OF_A_SEARCH: Mapping[str, BesJob] = {"SCHEDULED": NotStarted(), "RUNNING": Running()}


class WorkspaceTraining:
    """`store` is the address of the app's storage; `file` is what `training.job` names.

    `is_complete` says whether the metrics that a run has logged are all that is wanted of it.
    """

    def __init__(
        self,
        workspace: Workspace,
        training: AzureMLTraining,
        pipeline: str,
        *,
        store: str,
        is_complete: Callable[[Mapping[str, str]], bool],
        fleet: str | None = None,
        file: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workspace, self._training, self._pipeline = workspace, training, pipeline
        self._experiment = training.experiment or fleet or pipeline
        self._store, self._is_complete, self._file, self._now = store, is_complete, file, now

    def submit(
        self, name: str, data: BlobReference | None, parameters: Mapping[str, str], champion: Model | None = None
    ) -> str:
        path = f"jobs/{name}"
        job = self._workspace.find(path)
        if job is None:
            job = self._made(path, self._order(name, data, parameters, champion))
        if not is_ours(job, name):
            raise ServiceRefused(
                f"The workspace {self._workspace.name} has a job {name} that this app did not make", 409
            )
        return name

    def start(self, bes_job: str) -> None:
        """A job runs once it is made."""

    def status(self, bes_job: str) -> BesJob:
        job = self._workspace.get(f"jobs/{bes_job}")
        with understood("The workspace answered no state of a job"):
            state = str(job["properties"]["status"])
        match state.lower():
            case "completed":
                return self._finished(bes_job, job)
            case "failed":
                return self._failed(bes_job, job)
            case "canceled":
                return Cancelled()
            case waits if waits in _WAITS:
                return NotStarted()
            case runs if runs in _RUNS:
                return Running()
        raise UnexpectedAnswer(f"The job {bes_job} is {state[:80]!r}, a state that this app does not know")

    def statuses(self, bes_jobs: Sequence[str]) -> Mapping[str, BesJob | RetrainingError]:
        """Return those that wait or run. One that has ended is asked for by itself, as are few jobs."""
        try:
            states = self._workspace.runs.states(bes_jobs)
        except RetrainingError as error:
            return dict.fromkeys(bes_jobs, error)
        return {name: _OF_A_SEARCH[state] for name, state in states.items() if state in _OF_A_SEARCH}

    def cancel(self, bes_job: str) -> None:
        try:
            self._workspace.post(f"jobs/{bes_job}/cancel")
        except ServiceRefused as error:
            log.info("There is nothing to cancel: %s", error)  # it has ended, or the service does not know it

    def _order(
        self, name: str, data: BlobReference | None, parameters: Mapping[str, str], champion: Model | None
    ) -> Order:
        place = None
        if data is not None:
            container, _, place = data.relative.partition("/")
            if container != BATCHES:
                raise BadConfiguration(f"The data of {name} is in the container {container}, and not in {BATCHES}")
        return Order(
            training=self._training,
            workspace=self._workspace.id,
            pipeline=self._pipeline,
            experiment=self._experiment,
            name=name,
            data=place,
            parameters=dict(parameters),
            champion=self._champion(champion) if champion else None,
        )

    def _champion(self, model: Model) -> str | None:
        configured = self._training.champion
        return address_of(configured.datastore, model.name) if configured and configured.datastore else None

    def _made(self, path: str, order: Order) -> Any:
        if self._training.component:
            component = self._component(self._training.component)
            with understood("The workspace answered a component of an unknown shape"):
                body = of_component(order, component)
            # The service starts the steps of a pipeline by this token.
            return self._workspace.put(path, body, **{"x-azureml-token": self._workspace.machine_learning_token()})
        if self._file is None:
            raise BadConfiguration(f"The training of {self._pipeline} names no component and no job")
        properties, environment = JobFile(str(self._file), self._training, lambda name: Path(name).read_bytes()).read()
        body = of_file(order, properties)
        if environment:
            self._workspace.put(*environment)
        return self._workspace.put(path, body)

    def _component(self, named: str) -> Any:
        found = _COMPONENT.fullmatch(named.removeprefix("azureml:"))
        if not found:
            raise BadConfiguration(f"{named!r} of {self._pipeline} is not a component; write NAME:VERSION")
        component = self._workspace.find(f"components/{found[1]}/versions/{found[2]}")
        if component is None:
            raise BadConfiguration(
                f"The workspace {self._workspace.name} has no component {found[0]}, which {self._pipeline} names"
            )
        return component

    def _finished(self, name: str, job: Mapping[str, Any]) -> BesJob:
        runs = self._runs(name, job)
        metrics = {key: value for run in runs for key, value in run.metrics.items()}
        ended = runs[0].ended
        if ended and self._now().timestamp() - ended < LAG and not self._is_complete(metrics):
            return Running()  # they are logged in the background, and may come after the job's end
        order = self._order(name, None, {}, None)
        results = {
            output: BlobReference(self._store, f"{BATCHES}/{order.place(output)}{file}")
            for output, file in {self._training.model.output: "", **self._training.scored_files}.items()
        }
        return Finished(results, metrics)

    def _runs(self, name: str, job: Mapping[str, Any]) -> list[Run]:
        """Return the run of the job and, where it is a pipeline, those of its steps, which log the metrics."""
        run = self._workspace.runs.get(name)
        is_pipeline = str(job["properties"].get("jobType", "")).lower() == "pipeline"
        return [run, *(self._workspace.runs.children(run) if is_pipeline else [])]

    def _failed(self, name: str, job: Mapping[str, Any]) -> Failed:
        """Return why it failed, as run history and the end of its log have it. They may be missing."""
        try:
            failed = [run for run in self._runs(name, job)[1:] if run.status == "FAILED"]
            details = self._workspace.details(failed[0].id if failed else name)
        except (NeverAgain, AskHuman) as error:
            return Failed(f"the service gave no reason that can be read: {error}")
        return Failed(reason_of(self._workspace, details), interrupted=_is_interrupted(details.get("error")))


def _is_interrupted(error: Any) -> bool:
    """Return whether the service failed, and not the training."""
    inner = error.get("error") if isinstance(error, Mapping) else None
    return isinstance(inner, Mapping) and str(inner.get("code", "")).lower() in _OF_THE_SERVICE

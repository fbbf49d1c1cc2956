"""The Batch Execution Service of a web service, `api-version=2.0`.

POST {base}/jobs creates a job, POST {base}/jobs/{id}/start starts it, GET {base}/jobs/{id} reads it, DELETE cancels it.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from shared.adapters.http import Service
from shared.adapters.storage.references import read_reference, write_reference
from shared.adapters.studio.bes_details import innermost_message
from shared.base.errors import RetrainingError, ServiceRefused, UnexpectedAnswer
from shared.base.threads import at_once
from shared.domain.jobs import Model
from shared.domain.ports import BesJob, BlobReference, Cancelled, Failed, Finished, NotStarted, Running
from shared.domain.services import ScoringService, TrainingService

log = logging.getLogger("relearn.bes")

_VERSION = {"api-version": "2.0"}
_INTERRUPTED = "The server stopped"  #: how the message begins
_JOB_ID = re.compile(r"^[A-Za-z0-9-]{1,64}$")


class BatchExecutionService:
    """`name` is how errors call it; the service's base address, key and input are the configuration's."""

    def __init__(self, session: requests.Session, name: str, place: TrainingService | ScoringService) -> None:
        self._input = place.port if isinstance(place, TrainingService) else place.input
        address, key = place.place
        self._service = Service(session, name, address, lambda: f"Bearer {key.reveal()}")

    def submit(
        self,
        name: str,  # noqa: ARG002
        data: BlobReference | None,
        parameters: Mapping[str, str],
        champion: Model | None = None,  # noqa: ARG002
    ) -> str:
        # A service whose experiment imports its data has no inputs, and the member may be missing.
        inputs = {"Inputs": {self._input: write_reference(data)}} if data else {}
        body = {**inputs, "GlobalParameters": dict(parameters)}
        answer = self._service.call("POST", "jobs", body=body, **_VERSION)
        job_id = answer.json()
        if not isinstance(job_id, str) or not _JOB_ID.match(job_id):
            raise UnexpectedAnswer(f"{answer.asked} answered {str(job_id)[:80]!r}, which is not a job id")
        return job_id

    def start(self, bes_job: str) -> None:
        try:
            self._service.call("POST", f"jobs/{bes_job}/start", **_VERSION)
        except ServiceRefused as error:
            if "CannotStartJob" not in error.codes:
                raise  # CannotStartJob: it left the state in which it can be started, so it was started before.

    def status(self, bes_job: str) -> BesJob:
        return self._service.call("GET", f"jobs/{bes_job}", **_VERSION).read(read_bes_job, "BES job")

    def statuses(self, bes_jobs: Sequence[str]) -> Mapping[str, BesJob | RetrainingError]:
        """Ask for each job in a separate call: the service has no call for several."""

        def status(bes_job: str) -> BesJob | RetrainingError:
            try:
                return self.status(bes_job)
            except RetrainingError as error:
                return error

        return dict(zip(bes_jobs, at_once(status, bes_jobs), strict=True))

    def cancel(self, bes_job: str) -> None:
        try:
            self._service.call("DELETE", f"jobs/{bes_job}", **_VERSION)
        except ServiceRefused as error:
            log.info("There is nothing to cancel: %s", error)  # it has ended, or the service does not know it


def read_bes_job(answer: Any) -> BesJob:
    """Return the job's state. `Results` is read by port name: its order promises nothing."""
    status = str(answer.get("StatusCode")) if isinstance(answer, Mapping) else "None"
    # The service's samples read the state as a name or as its number; both spellings of the fourth are about.
    match status:
        case "NotStarted" | "0":
            return NotStarted()
        case "Running" | "1":
            return Running()
        case "Failed" | "2":
            details = innermost_message(str(answer.get("Details") or "the service gave no details"))
            return Failed(details, interrupted=details.startswith(_INTERRUPTED))
        case "Cancelled" | "Canceled" | "3":
            return Cancelled()
        case "Finished" | "4":
            results = answer.get("Results") or {}
            return Finished(
                {str(port): read_reference(blob, f"The BES result {port}") for port, blob in results.items()}
            )
    raise UnexpectedAnswer(f"BES job status {status[:80]!r} is not one this app knows")

"""The app over a local Azure Machine Learning workspace, driven step by step; and what must hold whatever happened."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from local.azureml import ENDED, ENDPOINT, LEADING, PIPELINE, SAMPLE, AzureMLPlace, publish, running_workspace
from local.azurite import Azurite
from local.datasets import LABEL
from shared.adapters.azureml.deployments import is_changing
from shared.domain.champions import Traffic
from shared.domain.jobs import FINAL, JobState, RetrainingJob
from tests.conftest import empty
from tests.support.flow import Driven
from tests.support.light.code import linear
from tests.support.waiting import PATIENCE, until

#: a component and a deployment without libraries, which train and serve in a tenth of the sample's processor time
LIGHT = Path(__file__).parent / "light"
NOT_LEASED = {"LeaseNotPresentWithLeaseOperation", "BlobNotFound", "ContainerNotFound"}
SHORT = timedelta(seconds=5)  #: between two looks while the service may be read late
#: for tests that look at which model is live: the gate passes nearly every one, and nothing is waited for
PASSING = (
    ("AUC >= champion - 0.01", "AUC >= champion - 0.5"),
    ("AUC >= 0.95", "AUC >= 0.5"),
    ("settle: 1s", "settle: 0.001s"),
    ("bake: {time: 30m}", "bake: {time: 2m}"),
    ("rows: ../", f"rows: {SAMPLE.parent}/"),
)


def configured(folder: Path, *changes: tuple[str, str]) -> dict[str, str]:
    """Write the sample's pipelines file with each first text replaced by the second; return the setting for it."""
    text = (SAMPLE / "pipelines.yaml").read_text("utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    file = folder / "pipelines.yaml"
    file.write_text(text, "utf-8")
    return {"PIPELINES_FILE": str(file)}


def place_of(one_azurite: Azurite, folders: pytest.TempPathFactory, own: Path = LIGHT) -> Iterator[AzureMLPlace]:
    """Yield a workspace with a live first model, which this process's identity may use.

    The files of the folder `own` take the place of the sample's.
    """
    folder, flags = folders.mktemp("azureml") / "aml", ("--control", "--deploying", "0")
    with (
        pytest.MonkeyPatch.context() as patched,
        running_workspace(folder, one_azurite.connection_string, *flags) as workspace,
    ):
        for name in LEADING:
            patched.setenv(name, workspace.settings[name])
        yield publish(one_azurite, workspace, apart="", own=own)
    empty(one_azurite)


def let_lease_run_out(place: AzureMLPlace) -> None:
    """Have the lease of the champion's record end, as if its holder was gone for a minute."""
    blob = place.blobs.get_blob_client("retraining", f"champions/{PIPELINE}.json")
    try:
        BlobLeaseClient(blob).break_lease(0)
    except HttpResponseError as error:
        assert error.error_code in NOT_LEASED, error


class AzureMLFlow(Driven):
    """`served` has each model that got calls, by the name of its deployment, in order.

    The clock of a new one goes on where the one before stopped: what the records wait for is not in its future.
    """

    reached: ClassVar[timedelta] = timedelta()

    def __init__(self, place: AzureMLPlace, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(place, settings)
        self.workspace = place.workspace
        self.served: list[str] = []
        self.ahead = self.reached
        self.looking: Callable[[], None] = lambda: None  #: what else happens at each look

    def pass_time(self, span: timedelta) -> None:
        super().pass_time(span)
        AzureMLFlow.reached = self.ahead

    def advance(self) -> None:
        """Poll and carry out what that asks for; look who gets calls before and after."""
        self.poll()
        self.look()
        self.promote()
        self.look()

    def promote(self) -> None:
        """Deliver each message once; one that is worth another delivery stays in the queue."""
        requests, self.requests = self.requests, []
        self.requests = [each for each in requests if not self._delivered(each, f"message-{uuid4().hex}")]

    def look(self) -> None:
        self.looking()
        self.served += [name for name in self.traffic() if name not in self.served]

    def finish(self, job: RetrainingJob) -> RetrainingJob:
        """Go on until the job is final and nothing of its promotion is open."""

        def settled() -> bool:
            self.await_training(job)
            self.advance()
            found, change = self.job(job.id), self.champion.change
            if found.state in FINAL and not change and not self.requests:
                return True
            if found.not_before or change:
                self.pass_to_next_look(found, change.traffic if change else None)
            return False

        until(settled, lambda: (self.job(job.id), self.champion.change, self.troubles[-3:]))
        return self.job(job.id)

    def pass_to_next_look(self, job: RetrainingJob, traffic: Traffic | None) -> None:
        """Let what the service is at work on end, in its real time, and then pass the time until the app looks again.

        It is a short time where the app has not said when: the service may still be read late.
        """
        look_at = traffic.look_at if traffic else job.not_before if job.state is JobState.STAGING else None
        if not traffic or not traffic.watch:
            until(self.is_at_rest, "the service ends what it is at work on")
        self.pass_time(max(SHORT, look_at - self.now()) if look_at else SHORT)

    def is_at_rest(self) -> bool:
        """Return whether the service changes neither the endpoint nor one of its deployments."""
        path = f"onlineEndpoints/{ENDPOINT}"
        resources = [self.resource(path), *self.workspace.remote.listed(f"{path}/deployments")]
        return not any(is_changing(each) for each in resources)

    def settle(self) -> None:
        """Let so much time pass that bakes are over and former deployments are dropped."""

        def one_left() -> bool:
            self.pass_time(timedelta(hours=5))  # a former model is kept for four
            self.advance()
            return len(self.deployments()) == 1

        until(one_left, lambda: (self.deployments(), self.app.records.deployments.load(PIPELINE)))

    def resource(self, path: str) -> dict[str, Any]:
        return dict(self.workspace.remote.get(path))

    def traffic(self) -> dict[str, int]:
        properties = self.resource(f"onlineEndpoints/{ENDPOINT}")["properties"]
        return {name: percent for name, percent in properties["traffic"].items() if percent}

    def deployments(self) -> set[str]:
        listed = self.workspace.remote.listed(f"onlineEndpoints/{ENDPOINT}/deployments")
        return {str(each["name"]) for each in listed}

    def trainings(self, job: RetrainingJob) -> int:
        """Return how many jobs of the workspace trained for this one."""
        listed = self.workspace.remote.listed("jobs")
        return sum(each["properties"]["tags"].get("relearn.job") == job.id for each in listed)

    def features(self) -> tuple[list[str], list[list[float]]]:
        """Return the kept rows without the label."""
        rows = self.app.pipelines[PIPELINE].rows
        names = [name for name in rows.columns if name != LABEL]
        return names, [[float(cell) for cell in row] for row in rows.only(names).values]

    def await_training(self, job: RetrainingJob) -> None:
        """Wait for the training, for a second at most: each poll takes processor time from it."""
        if self.job(job.id).state is JobState.TRAINING:
            with suppress(AssertionError):
                until(lambda: self.resource(f"jobs/{job.id}")["properties"]["status"] in ENDED, "it ends", seconds=1)

    def let_trainings_end(self) -> None:
        """Wait for the jobs of the workspace: each process that polls takes processor time from them."""

        def ended() -> bool:
            listed = self.workspace.remote.listed("jobs")
            return all(each["properties"]["status"] in ENDED for each in listed)

        until(ended, "the trainings end")

    def predicted(self, sha256: str, rows: list[list[float]] | None = None) -> list[list[float]]:
        """Return the probabilities that a kept model gives for the rows, or the kept ones: no service is asked."""
        columns, kept_rows = self.features()
        rows = rows or kept_rows
        container = self.place.blobs.get_container_client("models")
        names = [*container.list_blob_names(name_starts_with=f"{sha256}/")]
        [name] = [name for name in names if name.endswith((".skops", linear.FILE))]
        content = container.download_blob(name).readall()
        if name.endswith(linear.FILE):
            return linear.probabilities(json.loads(content), columns, rows)
        return by_scikit_learn(content, rows)

    def answered(self, deployment: str | None = None) -> list[list[float]]:
        """Return what the endpoint answers for the kept rows, asked as any client would."""
        columns, rows = self.features()
        headers = {"azureml-model-deployment": deployment} if deployment else {}
        answer = requests.post(
            f"{self.workspace.address}/score/{ENDPOINT}",
            json={"input_data": {"columns": columns, "data": rows}},
            headers={"Authorization": f"Bearer {self.token('https://ml.azure.com')}", **headers},
            verify=self.workspace.settings["REQUESTS_CA_BUNDLE"],
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
        found: list[list[float]] = answer.json()
        return found

    def token(self, resource: str) -> str:
        answer = requests.get(
            self.workspace.settings["IDENTITY_ENDPOINT"],
            params={"api-version": "2019-08-01", "resource": resource},
            headers={"X-IDENTITY-HEADER": self.workspace.settings["IDENTITY_HEADER"]},
            verify=self.workspace.settings["REQUESTS_CA_BUNDLE"],
            timeout=PATIENCE,
        )
        return str(answer.json()["access_token"])

    def order(self, kind: str, **options: Any) -> None:
        """Have the workspace misbehave."""
        orders = f"{self.workspace.control}/faults"
        answer = requests.post(orders, json={"kind": kind, **options}, timeout=PATIENCE)
        assert answer.status_code == 201, answer.text

    def assert_right(self, job: RetrainingJob) -> None:
        """One model has all calls and it is the history's, nobody was served by an unproven one, nothing is left."""
        champion = self.champion
        assert champion.change is None
        if champion.live:
            [model] = set(champion.live.models.values())
            assert self.answered() == self.predicted(model.sha256)
        [serving] = self.traffic()
        assert self.traffic() == {serving: 100}
        assert self.trainings(job) <= 1
        if job.model and f"m{job.model.sha256[:12]}" in self.served:
            assert job.stage is not None
            assert job.stage.proven_at is not None
        self.settle()
        assert self.deployments() == {serving}


def by_scikit_learn(content: bytes, rows: list[list[float]]) -> list[list[float]]:
    """Return the probabilities that a model in skops' format gives for the rows."""
    import skops.io  # takes seconds, and few tests have such a model

    model = skops.io.load(io.BytesIO(content), trusted=skops.io.get_untrusted_types(data=content))
    found: list[list[float]] = model.predict_proba(rows).tolist()
    return found

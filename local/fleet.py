"""A fleet on this machine: the diabetes data that scikit-learn ships, dealt out to clinics, and a model for each.

One training experiment and one Classic web service, whose endpoints the app makes itself. The benchmark and the tests
stand on it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerClient

from local.azurite import Azurite
from local.datasets import as_csv, diabetes
from local.studio import RunningStudio, running_studio
from shared.app import App
from shared.base.errors import TryLater
from shared.base.settings import Settings
from shared.domain.messages import Command, Request
from shared.domain.rollouts import Rollout, RolloutState
from studio.experiments.loading import load_experiment
from studio.state.records import Endpoint, Service

FLEET = "clinic"
ROWS = 120  #: of each clinic
PAUSE = 0.5  #: seconds between two polls while there is nothing to do but to wait for trainings, at least
ASKED_A_SECOND = 200  #: trainings; with 1,000 the pause is a third of that of the deployed app
AT_ONCE = 8  #: messages that are carried out at once, of the 16 that the Functions host would take
CONTAINER = "clinics"

PIPELINES = """
pipelines:
  clinic:
    for_each: clinic
    blobs: clinics/{clinic}/*.csv
    arrival: {settle: 0.001s}
    training:
      address: ${TRAINING_ADDRESS}
      key: ${TRAINING_KEY}
      model: output1
      evaluation: output2
      parameters: {Regularization weight: "0.{clinic}"}
    gate:
      rules: ["Root Mean Squared Error <= 200"]
    targets:
      - kind: classic
        name: progression of {clinic}
        address: ${SERVICE_ADDRESS}/endpoints/clinic{clinic}
        key: ${WORKSPACE_TOKEN}
        resource: Diabetes progression [trained model]
        scoring: {services: "${SERVICES}"}
    proof: {rows: rows.csv, timeout: 1m}
    rollout: {waves: [1, 10%, 100%], failures_at_most: 1%, at_once: AT_ONCE}
"""


@dataclass(frozen=True)
class FleetPlace:
    """Azurite, a local Studio with the two web services, and the app with its settings."""

    azurite: Azurite
    studio: RunningStudio
    service: Service
    settings: dict[str, str] = field(repr=False)

    @cached_property
    def app(self) -> App:
        return App(Settings(self.settings))

    @cached_property
    def data(self) -> ContainerClient:
        return BlobServiceClient.from_connection_string(self.azurite.connection_string).get_container_client(CONTAINER)

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The service's endpoints by name, the default one too."""
        return {each.name: each for each in self.studio.studio.records.all(Endpoint, self.service.id)}

    def drop(self, clinics: Iterable[str], name: str = "first.csv") -> None:
        """Put each clinic's own data where its pipeline takes it from, and take the events."""

        def put(clinic: str) -> None:
            path = f"clinics/{clinic}/{name}"
            self.data.upload_blob(path, rows_of(clinic, name), overwrite=True)
            self.app.flows.intake.see(path)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(put, clinics))

    def poll(self) -> list[Request]:
        """Do what the two timers do; return the messages that are to be carried out."""
        self.app.flows.take_up()
        return self.app.flows.poll()

    def train(self, clinics: Sequence[str]) -> Iterator[int]:
        """Take everything dropped to its verdict; yield after each poll how many jobs wait for a rollout."""
        waiting = 0
        while waiting < len(clinics):
            time.sleep(max(PAUSE, len(clinics) / ASKED_A_SECOND))  # the trainings need the processors too
            assert self.poll() == [], "nothing is promoted without a rollout"
            waiting = len(self.app.records.jobs.parked(FLEET))
            yield waiting

    def roll_out(self, action: Command, message: str) -> Iterator[Rollout]:
        """Have the whole fleet promoted or rolled back; yield the rollout after each poll, at last as it ended."""
        self.app.flows.requests.carry_out(Request(pipeline=FLEET, action=action, by="ann"), message)
        yield from self.follow(message)

    def follow(self, message: str) -> Iterator[Rollout]:
        """Carry out what the rollout that was begun asks for; yield it after each poll, at last as it ended."""
        numbers = count()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            course = RolloutState.RUNNING
            while course is RolloutState.RUNNING:
                list(threads.map(self._carry_out, self.app.flows.poll(), (f"{message}-{n}" for n in numbers)))
                stored = self.app.records.rollouts.latest(FLEET)
                assert stored is not None, "it was asked for"
                course = stored.record.state
                yield stored.record

    def _carry_out(self, request: Request, message: str) -> None:
        try:
            self.app.flows.requests.carry_out(request, message)
        except TryLater:
            return  # it is asked for again

    def answers(self, clinic: str) -> list[list[str]]:
        """Return what the clinic's endpoint answers for the kept rows."""
        pipeline = self.app.pipelines[f"{FLEET}-{clinic}"]
        [endpoint] = self.app.endpoints_of(pipeline).values()
        return endpoint.score(pipeline.rows).values


@contextmanager
def fleet_place(azurite: Azurite, folder: Path, *flags: str, at_once: int = 50) -> Iterator[FleetPlace]:
    """Run a Studio with the diabetes experiment, its predictive web service without endpoints but the default one."""
    folder.mkdir(parents=True, exist_ok=True)
    header, rows = diabetes()
    (folder / "rows.csv").write_bytes(as_csv(header[:-1], [row[:-1] for row in rows[:5]]))
    (folder / "pipelines.yaml").write_text(PIPELINES.replace("AT_ONCE", str(at_once)))
    with running_studio(folder / "studio", azurite.connection_string, *flags) as studio:
        experiment = studio.studio.run(load_experiment("diabetes"), as_csv(header, rows))
        training = studio.studio.deploy_training(experiment.experiment)
        studio.studio.deploy_classic(experiment, [])
        service = next(each for each in studio.studio.records.all(Service) if "Predictive" in each.name)
        workspace = studio.studio.workspace
        storage = azurite.connection_string
        settings = {
            "TRAINING_DATA": storage,
            "TRAINING_DATA_PATH": f"{CONTAINER}/{{name}}",
            "RETRAINING_STORE": storage,
            "PIPELINES_FILE": str(folder / "pipelines.yaml"),
            "TRAINING_ADDRESS": f"{studio.address}{training.path}",
            "TRAINING_KEY": training.key,
            "SERVICE_ADDRESS": f"{studio.address}/workspaces/{workspace.id}/webservices/{service.id}",
            "WORKSPACE_TOKEN": workspace.primary_token,
            "SERVICES": studio.address,
        }
        place = FleetPlace(azurite, studio, service, settings)
        place.data.create_container()
        yield place


def rows_of(clinic: str, name: str) -> bytes:
    """Return the clinic's own patients as a CSV file; another name gives others."""
    header, rows = diabetes()
    return as_csv(header, random.Random(f"{clinic}/{name}").sample(rows, ROWS))

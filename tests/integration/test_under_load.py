"""A model is swapped while clients score without pause: none is refused, and no answer is of two models."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests

from local.azurite import Azurite
from local.datasets import as_csv, breast_cancer
from local.studio import running_studio
from studio.experiments.loading import load_experiment
from studio.publishing import PredictiveExperiment, Published, Studio
from studio.state.records import Service
from tests.support.waiting import PATIENCE, until

HEADER, ROWS = breast_cancer()
CLIENTS = 3
SWAPS = 24


@dataclass(frozen=True)
class Deployed:
    """Two trained models of one experiment, and its Classic and New web services."""

    address: str
    studio: Studio
    models: list[PredictiveExperiment]
    classic: Published
    new: Published

    def score(self, session: requests.Session, endpoint: Published) -> tuple[int, str]:
        """Return the status and the answer to twenty rows."""
        body = {"Inputs": {"input1": {"ColumnNames": HEADER, "Values": ROWS[:20]}}}
        headers = {"Authorization": f"Bearer {endpoint.key}"}
        url = f"{self.address}{endpoint.path}/execute"
        answer = session.post(url, params={"api-version": "2.0"}, json=body, headers=headers, timeout=PATIENCE)
        return answer.status_code, json.dumps(answer.json(), sort_keys=True)

    def patch_classic(self, model: int) -> None:
        resource = self.models[model].scorers[0].resource
        location = self.studio.blobs.result(resource.location)
        location_of = {
            "BaseLocation": location.base_location,
            "RelativeLocation": location.relative_location,
            "SasBlobToken": location.sas_blob_token,
        }
        self._call(
            "PATCH",
            self.classic.management,
            self.classic.key,
            {"Resources": [{"Name": resource.name, "Location": location_of}]},
        )

    def patch_new(self, model: int) -> None:
        """Change the asset's address in the definition, and follow the operation to its end."""
        token, version = self.studio.identity.arm_token, {"api-version": "2017-01-01"}
        resource = self.models[model].scorers[0].resource
        definition = self._call("GET", self.new.management, token, None, version).json()
        for asset in definition["properties"]["assets"].values():
            if asset["name"] == resource.name:
                location = resource.location
                asset["locationInfo"]["uri"] = f"{location.base_location}{location.relative_location}"
        accepted = self._call("PATCH", self.new.management, token, definition, version)
        operation = accepted.headers["Azure-AsyncOperation"].removeprefix(self.address)
        status: list[str] = []

        def ended() -> bool:
            status.append(self._call("GET", operation, token, None, {}).json()["status"])
            return status[-1] in ("Succeeded", "Failed")

        until(ended, lambda: status)
        assert status[-1] == "Succeeded"

    def _call(
        self, method: str, path: str, key: str, body: object = None, version: dict[str, str] | None = None
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        answer = requests.request(
            method, f"{self.address}{path}", json=body, params=version, headers=headers, timeout=PATIENCE
        )
        answer.raise_for_status()
        return answer


@pytest.fixture(scope="module")
def deployed(azurite_of_file: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("load")
    with running_studio(folder, azurite_of_file.connection_string) as running:
        studio = running.studio
        models = [studio.run(load_experiment("breast-cancer"), as_csv(HEADER, ROWS[:count])) for count in (100, 400)]
        studio.deploy_classic(models[0])
        [service] = studio.records.all(Service)
        [classic] = studio.add_endpoints(service, ["loaded"], throttle_level="High", max_concurrent_calls=50)
        yield Deployed(running.address, studio, models, classic, studio.deploy_new(models[0], "loaded"))


@pytest.mark.parametrize("kind", ["Classic", "New"])
def test_a_swap_under_load_drops_no_request_and_no_answer_mixes_two_models(deployed: Deployed, kind: str) -> None:
    endpoint = deployed.classic if kind == "Classic" else deployed.new
    swap: Callable[[int], None] = deployed.patch_classic if kind == "Classic" else deployed.patch_new
    with requests.Session() as session:
        expected = [deployed.score(session, endpoint)]
        swap(1)
        expected.append(deployed.score(session, endpoint))
    assert [status for status, _ in expected] == [200, 200]
    assert expected[0] != expected[1]
    answers: Counter[tuple[int, str]] = Counter()
    failures: list[Exception] = []
    stopping, counting = threading.Event(), threading.Lock()

    def score_without_pause() -> None:
        with requests.Session() as session:
            while not stopping.is_set():
                try:
                    answer = deployed.score(session, endpoint)
                except Exception as error:
                    failures.append(error)
                    return
                with counting:
                    answers[answer] += 1

    clients = [threading.Thread(target=score_without_pause) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for number in range(SWAPS):
            enough = answers.total() + CLIENTS
            swap(number % 2)
            until(lambda enough=enough: answers.total() >= enough or bool(failures), "no answer between two swaps")
    finally:
        stopping.set()
        for client in clients:
            client.join()

    assert not failures
    assert set(answers) == set(expected)
    assert answers.total() >= SWAPS * CLIENTS
